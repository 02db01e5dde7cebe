"""Which build this is and what it stands on, as far as files tell: nothing is loaded for it."""

import json
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version
from pathlib import Path

from appliance import regular

# Written into the image when it is built; a checkout has none.
BUILT = Path("/usr/share/kleidi/built.json")
DPKG = Path("/var/lib/dpkg/status")
_MAX_SIZE = 4096


def built() -> dict[str, str]:
    """The image's `revision` and when it was `created`; empty elsewhere."""
    try:
        fields = json.loads(regular.read(BUILT, _MAX_SIZE))
        return {str(name): str(value) for name, value in fields.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def softhsm() -> str:
    """As Debian's package says, which the image lists too."""
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


def installed(name: str) -> str:
    try:
        return _version(name)
    except PackageNotFoundError:
        return ""
