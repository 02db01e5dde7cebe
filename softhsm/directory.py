"""A token directory as files: what can be known of it before SoftHSM reads it, and how it is told to."""

import os
import stat
import struct
from pathlib import Path
from typing import Final

from softhsm.errors import SoftHsmError, TokenNotFoundError

_CONFIGURATION: Final = """\
directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
slots.removable = false
slots.mechanisms = CKM_AES_GCM,CKM_AES_KEY_GEN
library.reset_on_fork = true
"""

_HEAD: Final = "token.object"
# A token.object is a 64-bit counter and then attributes, all big-endian: type, kind, value. The first two are
# always the label and the serial (OSAttributes.h, ObjectFile.cpp), both of the kind "bytes".
_ATTRIBUTE: Final = struct.Struct(">QQQ")
_COUNTER_SIZE: Final = 8
_MAX_SIZE: Final = 1 << 20  # bytes
_LABEL, _SERIAL, _BYTES = 0x80005349, 0x8000534A, 3


def entries(tokens: Path) -> list[Path]:
    try:
        return list(tokens.iterdir())
    except OSError as error:
        raise SoftHsmError(f"the token directory cannot be read: {error.strerror}") from error


def check(tokens: Path) -> int:
    """Refuse what would make SoftHSM abort the process; answer how many tokens the directory has.

    It has a slot for each token and one more, and ends in an assertion where two have the same number.
    """
    if any(sign in str(tokens.absolute()) for sign in "=#\n"):
        raise ValueError("SoftHSM cannot read '=' or '#' in the name of a token directory")
    found = [entry / _HEAD for entry in entries(tokens)]
    serials = [_serial(path) for path in found if os.path.lexists(path)]
    taken = [*map(_slot, serials), len(serials)]
    if doubled := {serial for serial in serials if taken.count(_slot(serial)) > 1}:
        # A copy left beside the original, for one.
        among = sum(serial in doubled for serial in serials)
        raise TokenNotFoundError(
            f"{among} tokens in the token directory cannot be told apart by their serials"
        )
    return len(serials)


def home(tokens: Path, serial: str) -> str:
    """The name of the directory of one token. SoftHSM makes a UUID of it, but reads any."""
    paths = (entry / _HEAD for entry in entries(tokens))
    found = [path.parent.name for path in paths if _serial(path).rstrip(b" ") == serial.encode()]
    if len(found) != 1:
        raise TokenNotFoundError(f"{len(found)} directories hold the token {serial}")
    return found[0]


def populated(tokens: Path) -> set[str]:
    """The serials of the tokens that hold anything, by their files: SoftHSM would look into each object."""
    return {
        _serial(home / _HEAD).decode(errors="replace").rstrip(" ") for home in entries(tokens) if _holds(home)
    }


def _holds(home: Path) -> bool:
    try:
        return any(file.suffix == ".object" and file.name != _HEAD for file in entries(home))
    except SoftHsmError:  # it is no directory, or not to be read: SoftHSM leaves it out as well
        return False


def configure(tokens: Path) -> Path:
    """Write SoftHSM's configuration beside *tokens*, whole or not at all: an empty one means the system's.

    Named after the directory, for another process may be loading another one from the same place.
    """
    configuration = tokens.parent / f"{tokens.name}.softhsm2.conf"
    text = _CONFIGURATION.format(tokens=tokens.absolute()).encode()
    draft = configuration.with_name(f".{configuration.name}.{os.getpid()}")
    try:
        if _read(configuration) == text:
            return configuration
        draft.unlink(missing_ok=True)
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(text)
        draft.replace(configuration)
    except OSError as error:
        raise SoftHsmError(f"softhsm2.conf cannot be written: {error.strerror}") from error
    return configuration


def _serial(path: Path) -> bytes:
    """The serial that SoftHSM will read in a token.object; empty where it will find none."""
    try:
        content = _read(path)
        start = _COUNTER_SIZE
        for expected in (_LABEL, _SERIAL):
            kind_of, kind, length = _ATTRIBUTE.unpack_from(content, start)
            start += _ATTRIBUTE.size + length
            if (kind_of, kind) != (expected, _BYTES) or start > len(content):
                return b""
        return content[start - length : start]
    except (OSError, struct.error):
        return b""


def _read(path: Path) -> bytes:
    """What a file holds, as far as a token.object goes; of anything else nothing, for a pipe makes wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MAX_SIZE) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def _slot(serial: bytes) -> int:
    """The number that SoftHSM gives the slot of a token: 31 bits of its serial (SlotManager.cpp)."""
    try:
        return int(serial[-8:], 16) & 0x7FFFFFFF
    except ValueError:
        return 0
