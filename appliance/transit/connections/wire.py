"""One connection to one node, on which no call takes longer, and no answer is larger, than it may.

http.client bounds neither: a socket's timeout begins anew with each byte, and a head may have megabytes. So
each send and receive gets what is left of the call's time, and bytes are counted.
"""

import errno
import http.client
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

from appliance.transit.connections.names import Names

# An answer is a few hundred bytes; the metadata of a key with a thousand versions has some 30 KiB.
LARGEST_BODY = 64 * 1024
_LARGEST_HEAD = 16 * 1024


class LargeError(http.client.HTTPException):
    """The answer is larger than one of Transit's."""


def left(until: float) -> float:
    """Seconds until then, by the monotonic clock. Raises TimeoutError when there are none."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


class _Incoming(io.RawIOBase):
    def __init__(self, plain: socket.socket, until: float) -> None:
        self._socket = plain
        self._until = until
        self._room = LARGEST_BODY + _LARGEST_HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        if not self._room:
            raise LargeError("the answer is too large")
        self._socket.settimeout(left(self._until))
        got = self._socket.recv_into(memoryview(buffer)[: self._room])
        self._room -= got
        return got


class _Bounded:
    """What http.client needs of a socket."""

    def __init__(self, plain: ssl.SSLSocket) -> None:
        self.plain = plain
        self.until = 0.0
        self._unsent = b""

    def sendall(self, data: bytes) -> None:
        # http.client sends the head and then the body: two records, and the server is woken for each.
        self._unsent += data

    def flush(self) -> None:
        rest, self._unsent = memoryview(self._unsent), b""
        while rest:
            self.plain.settimeout(left(self.until))
            rest = rest[self.plain.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  it only ever reads
        return io.BufferedReader(_Incoming(self.plain, self.until))

    def close(self) -> None:
        self.plain.close()


class _Tidy(ssl.SSLSocket):
    """Closed where the other end went before the handshake: CPython raises there, and leaves it open."""

    def getpeername(self) -> Any:  # noqa: ANN401  as socket has it
        try:
            return super().getpeername()
        except OSError:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None


class Connection:
    """Open, and its server's certificate verified, ahead of the first byte of any request."""

    def __init__(self, plain: ssl.SSLSocket, host: str, port: int) -> None:
        self._bounded = _Bounded(plain)
        self._http = http.client.HTTPConnection(host, port)
        self._http.auto_open = 0  # it must never connect by itself, in the clear
        self._http.sock = self._bounded
        self.used = time.monotonic()
        self.fresh = True

    @classmethod
    def open(  # noqa: PLR0913, PLR0917  all that it takes to reach a server
        cls, host: str, port: int, names: Names, context: ssl.SSLContext, server_name: str, until: float
    ) -> "Connection":
        """Raises OSError: TimeoutError, ssl.SSLCertVerificationError and others."""
        plain = _connected(names, until)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(left(until))  # of a handshake as a whole, unlike of what comes after it
            context.sslsocket_class = _Tidy
            return cls(context.wrap_socket(plain, server_hostname=server_name), host, port)
        except BaseException:
            plain.close()
            raise

    def exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], until: float
    ) -> tuple[int, bytes]:
        """Status and body. Raises OSError and http.client.HTTPException; then it is of no more use."""
        self._bounded.until = until
        self._http.request(method, path, body, dict(headers))
        self._bounded.flush()
        with self._http.getresponse() as response:
            data = response.read(LARGEST_BODY + 1)
            if len(data) > LARGEST_BODY:
                raise LargeError("the answer is too large")
            if response.length:  # what is still to come, where it was told
                raise http.client.IncompleteRead(b"", response.length)
            status, closes = response.status, response.will_close
        self.used, self.fresh = time.monotonic(), False
        if closes:
            self.close()
        return status, data

    @property
    def idle(self) -> bool:
        """Nothing is left of the last answer, and the server has not closed it."""
        if self._http.sock is None or self._bounded.plain.fileno() < 0 or self._bounded.plain.pending():
            return False
        poll = select.poll()
        poll.register(self._bounded.plain, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._http.close()
        self._bounded.close()


def _connected(names: Names, until: float) -> socket.socket:
    """To the first address that takes it, each with its share of the time."""
    addresses = names.addresses(left(until))
    trouble: OSError = OSError("the name has no address")
    for number, (family, address) in enumerate(addresses):
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(left(until) / (len(addresses) - number))
            plain.connect(address)
        except OSError as error:
            plain.close()
            trouble = error
        except BaseException:
            plain.close()
            raise
        else:
            return plain
    raise trouble
