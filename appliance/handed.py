"""Settings on their way from one reader to the programs of a start: reading them takes longer than all else.

PID 1 lets a process of its own read them (`python -m appliance.settings`) while the rest is imported, into a
piece of memory that is each program's standard input. Whoever writes there holds its lock, so that a program
that gets the lock finds all of it; or nothing, when they cannot be read: then it reads them itself, and says
what is wrong with them.
"""

import fcntl
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

from appliance import supervised

_STDIN, _STDOUT = 0, 1
_PATH = "path"


class Reading:
    """PID 1's side: a reader at work, and what it writes."""

    def __init__(self) -> None:
        written = os.memfd_create("settings")
        try:
            fcntl.flock(written, fcntl.LOCK_EX)
            # Opened anew: who shares a descriptor shares its lock.
            self._memory = _opened(written)
            self._reader = os.posix_spawn(
                sys.executable,
                [sys.executable, "-m", "appliance.settings"],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, written, _STDOUT)],
            )
        finally:
            os.close(written)

    def opened(self) -> int:
        """A descriptor of its own, for one program."""
        return _opened(self._memory)

    def close(self) -> None:
        """Nobody waits for it any more."""
        try:
            fcntl.flock(self._memory, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            # It is there as long as it holds the lock; once it is reaped its number may be another's.
            with suppress(OSError):
                os.kill(self._reader, SIGKILL)
                os.waitpid(self._reader, 0)
        os.close(self._memory)


def begun() -> Reading | None:
    """None where it cannot be: each program then reads for itself."""
    try:
        return Reading()
    except OSError:
        return None


def taken() -> bytes:
    """What was handed to this program; empty when somebody else started it, or there is nothing."""
    status = os.fstat(_STDIN)
    nameless = stat.S_ISREG(status.st_mode) and not status.st_nlink
    if not nameless or not supervised.started_us(os.getppid()):
        return b""
    fcntl.flock(_STDIN, fcntl.LOCK_SH)
    return os.pread(_STDIN, os.fstat(_STDIN).st_size, 0)


def packed(values: Mapping[str, object]) -> bytes:
    import json

    return json.dumps(values, default=lambda path: {_PATH: os.fspath(path)}).encode()


def unpacked(data: bytes) -> dict[str, Any]:
    """The same, tuples as lists."""
    import json

    def path(found: dict[str, Any]) -> Any:  # noqa: ANN401
        return Path(found[_PATH]) if found.keys() == {_PATH} else found

    return dict(json.loads(data, object_hook=path))


def _opened(memory: int) -> int:
    return os.open(f"/proc/self/fd/{memory}", os.O_RDONLY | os.O_CLOEXEC)
