"""Who is at the other end of a Unix socket, as the kernel tells (unix(7), SO_PEERCRED)."""

import os
import socket
import struct
from dataclasses import dataclass

# struct ucred: pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")
_ROOT = 0


@dataclass(frozen=True)
class Peer:
    """Who dialled, or who listens; the process id is 0 from outside of our own PID namespace."""

    uid: int
    pid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.pid}"

    @property
    def admitted(self) -> bool:
        """Whether operators' calls are taken from there."""
        return self.uid in (_ROOT, os.geteuid())


def peer(connection: socket.socket) -> Peer:
    """Raises OSError for what is not connected."""
    pid, uid, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return Peer(uid, pid)
