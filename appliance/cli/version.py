"""`kleidi version`: which kleidi this is, and what it stands on; what a report of a fault must say."""

import platform
import ssl
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from appliance import __version__, built, screen
from appliance.cli.options import Output, Printed, tell
from appliance.documents import Document

_LIBRARIES = ("PyKCS11", "cryptography", "grpcio", "pyrage", "supervisor")


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
        made = f" ({self.revision[:12]}, {self.created})" if self.revision else ""
        return f"kleidi {self.version}{made}"


def version(*, output: Printed = Output.TEXT) -> None:
    """Which kleidi this is, and with JSON what it stands on."""
    tell(_found(), output)


def _found() -> Version:
    image = built.built()
    return Version(
        __version__,
        platform.python_version(),
        image.get("revision", ""),
        image.get("created", ""),
        ssl.OPENSSL_VERSION,
        built.softhsm(),
        {name: built.installed(name) for name in _LIBRARIES},
    )
