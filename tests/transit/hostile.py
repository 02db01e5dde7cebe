"""A TLS server on loopback that answers each request as a test wants, and keeps all that it was sent."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.usage.authority import Authority

Behaviour = Callable[[ssl.SSLSocket, bytes], None]
# Longer than any call may take, and short enough for a test's end.
_LONGEST_SECONDS = 10.0


@dataclass
class Hostile:
    """*received* is what came through TLS, in so many *records*.

    *behave* gets each request and may do anything to its sender.
    """

    address: str
    behave: Behaviour
    received: list[bytes] = field(default_factory=list)
    records: int = 0
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def sent_to_it(self) -> bytes:
        return b"".join(self.received)


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(data: bytes) -> Behaviour:
    return lambda connection, _: connection.sendall(data)


def drips(data: bytes, over: threading.Event | None = None) -> Behaviour:
    """A byte each 50 ms: no timeout of a single receive ever passes."""

    def behave(connection: ssl.SSLSocket, _: bytes) -> None:
        end = time.monotonic() + _LONGEST_SECONDS
        for byte in data:
            if time.monotonic() > end or (over and over.is_set()):
                return
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return behave


def silent(connection: ssl.SSLSocket, _: bytes) -> None:
    connection.settimeout(_LONGEST_SECONDS)
    with contextlib.suppress(OSError):
        connection.recv(1)


def floods(head: bytes, chunk: bytes) -> Behaviour:
    """Without an end."""

    def behave(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.sendall(head)
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            connection.sendall(chunk)

    return behave


def breaks_off(data: bytes) -> Behaviour:
    def behave(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.sendall(data)
        connection.close()

    return behave


def hangs_up(connection: ssl.SSLSocket, _: bytes) -> None:
    connection.close()


@contextmanager
def hostile(
    authority: Authority, behave: Behaviour, *, days: int = 1, at: str = "127.0.0.1"
) -> Iterator[Hostile]:
    """*days* below 0: its certificate has expired. *at* is the address that the certificate names."""
    identity = authority.issue(f"hostile-{time.monotonic_ns()}", address=at, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert identity.cert is not None
    context.load_cert_chain(identity.cert, identity.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Hostile(f"https://127.0.0.1:{listening.getsockname()[1]}", behave)
        threads: list[threading.Thread] = []

        def serve(plain: socket.socket) -> None:
            with contextlib.suppress(OSError, ValueError), plain:
                plain.settimeout(_LONGEST_SECONDS)
                with context.wrap_socket(plain, server_side=True) as connection:
                    while records := _request(connection):
                        made.records += len(records)
                        made.received.append(b"".join(records))
                        made.behave(connection, made.received[-1])

        def accept() -> None:
            while not made.over.is_set():
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                made.connections += 1
                threads.append(threading.Thread(target=serve, args=(plain,), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield made
        finally:
            made.over.set()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


def _request(connection: ssl.SSLSocket) -> list[bytes]:
    """Head and body, record by record, for no read takes more than one; empty at the end."""
    records: list[bytes] = []
    while not _whole(b"".join(records)):
        more = connection.recv(65536)
        if not more:
            break
        records.append(more)
    return records


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    ]
    return bool(end) and len(body) >= int(lengths[0] if lengths else 0)
