"""Reading what this node logs in with: a file that others cannot read, anew each time, and kept nowhere."""

import os
import re
import stat
from pathlib import Path

from appliance import faults, regular
from appliance.keys.engine import AwayError

_MAX_SIZE = 16 * 1024
# What can stand in a header and in JSON as it is: Vault's tokens, secret ids and JWTs.
_WORD = re.compile(r"[\x21-\x7e]{1,8192}")
_OTHERS = stat.S_IROTH | stat.S_IWOTH


def read(path: Path | None, *, secret: bool = True) -> str:
    """The one word in it. Raises AwayError of E-TRANSIT-SECRET, which never quotes it."""
    if path is None:
        raise AwayError(faults.TRANSIT_SECRET, "no file is named")
    check(path, secret=secret)
    try:
        # A link is the operator's or the kubelet's own.
        text = regular.read(path, _MAX_SIZE, follow=True).decode("ascii").strip()
    except OSError as error:
        raise AwayError(faults.TRANSIT_SECRET, f"{path}: {regular.words(error)}") from None
    except UnicodeDecodeError:
        text = ""
    if not is_word(text):
        raise AwayError(faults.TRANSIT_SECRET, f"{path}: not one word of ASCII")
    return text


def is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def check(path: Path, *, secret: bool = True) -> None:
    """Raise AwayError of E-TRANSIT-SECRET for what is no file, or one that others can read or write."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise AwayError(faults.TRANSIT_SECRET, f"{path}: not a regular file")
        if secret and mode & _OTHERS:
            raise AwayError(faults.TRANSIT_SECRET, f"{path}: others can read or write it")
        if not os.access(path, os.R_OK):
            raise AwayError(faults.TRANSIT_SECRET, f"{path}: cannot be read")
    except OSError as error:
        raise AwayError(faults.TRANSIT_SECRET, f"{path}: {regular.words(error)}") from None
