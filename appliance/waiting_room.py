"""The KMS socket before the server has it: whoever dials waits in its queue instead of finding nobody.

gRPC, and so the API server, waits a second after a dial that found nobody (grpc, connection-backoff.md),
which is more than our server takes to start. Who came too early is greeted as an HTTP/2 server would and
told to dial again, as soon as the server has taken the path: that is no failure, and is done at once
(RFC 9113, 6.5 and 6.8).
"""

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from appliance import regular
from appliance.endpoint import HIDDEN_NAME_SIZE, KMS_SOCKET, socket_path

# An empty SETTINGS frame, and a GOAWAY that saw no stream and knows no error; both of stream 0.
_GREETING = bytes.fromhex("000000 04 00 00000000")
_DIAL_AGAIN = bytes.fromhex("000008 07 00 00000000 00000000 00000000")
_QUEUE = 1024
_MOST = 64 * 1024
# A server that has not come by then may not come at all, and whoever dials has to know.
SECONDS = 5.0
# As appliance/settings/sources.py has it, which takes a quarter of a second to import.
SETTINGS_FILE = "/etc/kleidi/config.toml"
# Nobody but the appliance's own user and root, until the server gives the path its mode and group.
_UMASK = 0o177


class WaitingRoom:
    """Open until something else is at *path*, for *seconds* at most; what goes wrong the server tells."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        self.path = path
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._directory = -1
        self._inode: tuple[int, int] | None = None

    @property
    def open(self) -> bool:
        return self._socket is not None

    def admit(self) -> None:
        """Bind the path, unless somebody answers there; calls *look* when its directory changes."""
        hidden = self.path.with_name("." + os.urandom(HIDDEN_NAME_SIZE).hex()[: HIDDEN_NAME_SIZE - 1])
        with suppress(OSError):
            if self.open or _answers(self.path):
                return
            self._directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                mask = os.umask(_UMASK)
                try:
                    waiting.bind(str(hidden))
                finally:
                    os.umask(mask)
                waiting.listen(_QUEUE)
                status = hidden.stat()
                # The kernel tells of every name that comes or goes there (fcntl(2), F_NOTIFY).
                signal.signal(signal.SIGIO, lambda *_: self.look())
                changes = fcntl.DN_CREATE | fcntl.DN_RENAME | fcntl.DN_DELETE | fcntl.DN_MULTISHOT
                fcntl.fcntl(self._directory, fcntl.F_NOTIFY, changes)
                hidden.rename(self.path)
                self._socket, self._inode = waiting, (status.st_dev, status.st_ino)
            except OSError:
                waiting.close()
                os.close(self._directory)
                hidden.unlink(missing_ok=True)
            signal.signal(signal.SIGALRM, lambda *_: self.close())
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
            # What came while it was not ours yet was told to nobody.
            self.look()

    def look(self) -> None:
        """Send all who wait to whoever has the path now; nothing while it is ours."""
        if self._socket is None or self._ours():
            return
        self._shut()

    def close(self) -> None:
        """Nobody will come any more: the path goes, if it is ours."""
        if self._socket is not None:
            if self._ours():
                with suppress(OSError):
                    self.path.unlink()
            self._shut()

    def _shut(self) -> None:
        waiting, self._socket = self._socket, None
        if waiting is None:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(self._directory)
        with waiting, suppress(OSError):  # the queue is empty
            while True:
                caller, _ = waiting.accept()
                with caller, suppress(OSError):
                    caller.sendall(_GREETING + _DIAL_AGAIN)
                    # What it has sent already and nobody reads would make the close a reset (unix(7)).
                    caller.shutdown(socket.SHUT_WR)
                    caller.setblocking(False)
                    while caller.recv(1 << 16):
                        pass

    def _ours(self) -> bool:
        try:
            status = self.path.stat()
        except OSError:
            # Moved over, or removed by hand: the server publishes it again.
            return False
        return (status.st_dev, status.st_ino) == self._inode


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)


def opened(environment: Mapping[str, str]) -> WaitingRoom | None:
    """One where the settings put the KMS socket; None where that cannot be told: the server will say it."""
    try:
        room = WaitingRoom(socket_path(environment.get("KLEIDI_SOCKET") or _written(environment)))
    except (OSError, ValueError, TypeError):
        return None
    room.admit()
    return room


def _written(environment: Mapping[str, str]) -> str:
    """What the settings' file says, for which a parser is loaded only where there is one."""
    path = environment.get("KLEIDI_CONFIG_FILE", SETTINGS_FILE)
    if path == SETTINGS_FILE and not Path(path).exists():
        return str(KMS_SOCKET)
    import tomllib  # noqa: PLC0415

    found = tomllib.loads(regular.read(path, _MOST, follow=True).decode("utf-8-sig"))
    return next((value for name, value in found.items() if name.lower() == "socket"), str(KMS_SOCKET))
