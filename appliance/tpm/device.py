"""How bytes get to a TPM: a character device, or a Unix socket that takes the same commands.

The kernel may hold a read, a write and even a poll for as long as the chip computes, so a device is used by
a thread that can be left behind. One deadline is around all of a conversation: no chip hangs a boot.
"""

import errno
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

from appliance.tpm.errors import Code, TpmError, Trouble
from appliance.tpm.wire import HEADER, LARGEST, Exchange

SECONDS: Final = 10.0
# Send the same bytes again.
_AGAIN: Final = (Code.RETRY, Code.YIELDED, Code.TESTING)
_FIRST_WAIT, _MOST_TIMES = 0.02, 10
# Who asks again and again leaves no more than one.
_LEFT_BEHIND: Final[dict[Path, threading.Thread]] = {}
_SILENT: Final = "it does not answer in time"


class _End(Protocol):
    def exchange(self, command: bytes, seconds: float) -> bytes: ...
    def close(self) -> None: ...


@contextmanager
def conversation(path: Path, seconds: float = SECONDS) -> Iterator[Exchange]:
    """What sends a command and gives its answer, for *seconds* in all.

    Raises TpmError of MISSING, FORBIDDEN or BUSY, here and at each exchange.
    """
    deadline = time.monotonic() + seconds
    try:
        end = _opened(path, seconds)
    except OSError as error:
        raise _unusable(error, path) from error

    def exchange(command: bytes) -> bytes:
        wait = _FIRST_WAIT
        for _ in range(_MOST_TIMES):
            try:
                answer = end.exchange(command, _left(deadline))
            except OSError as error:
                raise _unusable(error, path) from error
            if int.from_bytes(answer[6 : HEADER.size], "big") not in _AGAIN:
                break
            time.sleep(min(wait, _left(deadline)))
            wait *= 2
        return answer

    with closing(end):
        yield exchange


def _opened(path: Path, seconds: float) -> _End:
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode):
        return _Device(path)
    if stat.S_ISSOCK(mode):
        return _Socket(path, seconds)
    raise FileNotFoundError(errno.ENOENT, "neither a character device nor a socket")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TpmError(Trouble.BUSY, _SILENT)
    return left


def _whole(take: Callable[[int], bytes]) -> bytes:
    """An answer, by the size that its header tells."""
    answer = b""
    size = HEADER.size
    while len(answer) < size:
        piece = take(LARGEST - len(answer) if len(answer) >= HEADER.size else LARGEST)
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "it went in the middle of an answer")
        answer += piece
        if len(answer) >= HEADER.size:
            size = int.from_bytes(answer[2:6], "big")
            if not HEADER.size <= size <= LARGEST or len(answer) > size:
                raise TpmError(Trouble.ANSWER, "its size is another")
    return answer


class _Socket:
    def __init__(self, path: Path, seconds: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(seconds)
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise

    def exchange(self, command: bytes, seconds: float) -> bytes:
        ends = time.monotonic() + seconds
        self._socket.settimeout(seconds)
        self._socket.sendall(command)

        def take(most: int) -> bytes:
            self._socket.settimeout(_left(ends))
            return self._socket.recv(most)

        return _whole(take)

    def close(self) -> None:
        self._socket.close()


class _Device:
    """Its descriptor belongs to the thread that is in the kernel with it; left behind, that one closes it."""

    def __init__(self, path: Path) -> None:
        if (before := _LEFT_BEHIND.get(path)) and before.is_alive():
            raise TpmError(Trouble.BUSY, f"{_SILENT}, nor the time before")
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        self._lock = threading.Lock()
        self._inside = self._left = False

    def exchange(self, command: bytes, seconds: float) -> bytes:
        came: list[bytes | Exception] = []
        self._inside = True
        thread = threading.Thread(target=self._transmit, args=(command, came), name="tpm", daemon=True)
        thread.start()
        thread.join(seconds)
        if not came:
            _LEFT_BEHIND[self._path] = thread
            raise TpmError(Trouble.BUSY, _SILENT)
        if isinstance(came[0], Exception):
            raise came[0]
        return came[0]

    def _transmit(self, command: bytes, came: list[bytes | Exception]) -> None:
        try:
            os.write(self._descriptor, command)
            came.append(_whole(lambda most: os.read(self._descriptor, most)))
        except (OSError, TpmError) as error:
            came.append(error)
        finally:
            with self._lock:
                self._inside = False
                if self._left:
                    os.close(self._descriptor)

    def close(self) -> None:
        with self._lock:
            self._left = True
            if not self._inside:
                os.close(self._descriptor)


def _unusable(error: OSError, path: Path) -> TpmError:
    words = f"{path}: {error.strerror or error}"
    if isinstance(error, TimeoutError):
        return TpmError(Trouble.BUSY, _SILENT)
    match error.errno:
        case errno.EPERM:
            # What the control group of devices says, to root as well: a mount alone gives no right.
            return TpmError(Trouble.FORBIDDEN, "the container may not open devices")
        case errno.EACCES:
            return TpmError(Trouble.FORBIDDEN, f"not in the group of {path}{_group(path)}")
        case errno.EBUSY | errno.EAGAIN:
            return TpmError(Trouble.BUSY, f"{words}; another process has it")
        case _:
            return TpmError(Trouble.MISSING, words)


def _group(path: Path) -> str:
    try:
        return f" (gid {path.stat().st_gid})"
    except OSError:
        return ""
