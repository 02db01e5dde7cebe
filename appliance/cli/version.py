"""`kleidi version`: which kleidi this is, and what it stands on; what a report of a fault must say."""

import json
import platform
import ssl
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated, ClassVar

from appliance import __version__, regular, screen
from appliance.cli.options import Output, Printed, tell
from appliance.documents import Document

# Written into the image when it is built; a checkout has none.
BUILT = Path("/usr/share/kleidi/built.json")
DPKG = Path("/var/lib/dpkg/status")
_LIBRARIES = ("PyKCS11", "cryptography", "grpcio", "pyrage", "supervisor")
_MAX_SIZE = 4096


@dataclass(frozen=True)
class Version(Document):
    """Which kleidi this is, and what it stands on."""

    schema: ClassVar[str] = "kleidi.version/v1"
    printed_by: ClassVar[str] = "kleidi version"

    version: Annotated[str, "ours"]
    python: Annotated[str, "the interpreter's"]
    revision: Annotated[str, "the commit that the image was built from; empty elsewhere"]
    created: Annotated[str, "when the image was built; empty elsewhere"]
    openssl: Annotated[str, "the one that Python uses"]
    softhsm: Annotated[str, "the installed library's version, as far as it can be told"]
    libraries: Annotated[dict[str, str], "versions by name"] = field(default_factory=dict)

    def to_text(self, columns: int = screen.ENDLESS) -> str:  # noqa: ARG002  nothing of it is long
        built = f" ({self.revision[:12]}, {self.created})" if self.revision else ""
        return f"kleidi {self.version}{built}"


def version(*, output: Printed = Output.TEXT) -> None:
    """Which kleidi this is, and with JSON what it stands on."""
    tell(_found(), output)


def _found() -> Version:
    built = _built(BUILT)
    return Version(
        __version__,
        platform.python_version(),
        built.get("revision", ""),
        built.get("created", ""),
        ssl.OPENSSL_VERSION,
        _softhsm(),
        {name: _installed(name) for name in _LIBRARIES},
    )


def _built(path: Path) -> dict[str, str]:
    try:
        fields = json.loads(regular.read(path, _MAX_SIZE))
        return {str(name): str(value) for name, value in fields.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _softhsm() -> str:
    """As Debian's package says, which the image lists too; nothing is loaded for it."""
    try:
        with DPKG.open(errors="replace") as status:
            ours = False
            for line in status:
                if line.startswith("Package: "):
                    ours = line.split()[1] == "libsofthsm2"
                elif ours and line.startswith("Version: "):
                    return line.split()[1]
    except OSError:
        pass
    return ""


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return ""
