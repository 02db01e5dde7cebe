"""Who holds a lock or answers on a socket: for the line of a refusal, where the kernel tells it."""

import os
import socket
from pathlib import Path

from appliance import regular
from appliance.peer import peer

_LOCKS = "/proc/locks"
_MOST = 4 * 1024 * 1024


def of_lock(descriptor: int) -> str:
    """`process 123`, which holds the flock of an open file; empty where it cannot be told.

    So it is for one in another PID namespace, and on filesystems that show another device than they have.
    """
    try:
        status = os.fstat(descriptor)
        lines = regular.read(_LOCKS, _MOST).decode(errors="replace").splitlines()
    except OSError:
        return ""
    # `1: FLOCK  ADVISORY  WRITE 123 fd:01:4711 0 EOF` (proc_locks(5)); `1: -> FLOCK …` only waits for it.
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    rows = (line.split() for line in lines)
    return next((_named(row[4]) for row in rows if row[1:2] == ["FLOCK"] and row[5:6] == [file]), "")


def of_socket(path: Path) -> str:
    """`process 123`, which listens on a Unix socket; empty where nobody does or it cannot be told."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(str(path))
            return _named(str(peer(probe).pid))
    except OSError:
        return ""


def _named(pid: str) -> str:
    return f"process {pid}" if pid.isdecimal() and int(pid) else ""
