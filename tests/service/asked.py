"""The health socket's answers, as any client of HTTP/1.1 reads them."""

import contextlib
import socket
from pathlib import Path

from tests.service.client import PATIENCE_SECONDS


def get(path: Path, target: str) -> tuple[int, str]:
    """The status and the body of what is answered at *target* of the socket at *path*."""
    answer = send(path, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert "Connection: close" in head
    return int(head.split()[1]), body


def send(path: Path, request: bytes) -> bytes:
    """All that comes back until the other side closes."""
    with connect(path) as caller:
        with contextlib.suppress(BrokenPipeError):  # refused before it was read
            caller.sendall(request)
        return received(caller)


def connect(path: Path) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(PATIENCE_SECONDS)
    try:
        caller.connect(str(path))
    except OSError:
        caller.close()
        raise
    return caller


def received(caller: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := caller.recv(65536):
            answer += piece
    return answer
