"""/livez and /readyz for probes: the smallest HTTP/1.1 that can be asked, on a Unix socket of its own.

Not a gRPC service, because a gRPC client costs a probe 0.2 s of CPU and 37 MB each time.
/livez answers as long as the event loop does and never asks the token: a restart mends no token, and a
sealed appliance restarted in a loop would only be harder to mend. /readyz is 200 when Status would say "ok".
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from appliance.endpoint import HEALTH_NAME
from appliance.service.sockets.binding import Bound, private
from appliance.service.sockets.listener import Listener
from appliance.service.standing import Standing

NAME = HEALTH_NAME
_LINE_SIZE = 1024
_HEAD_SIZE = 4096
_SECONDS = 2.0
# A probe asks once in ten seconds; who opens more connections than this is no probe.
_MOST_CALLERS = 64
_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")

Answer = tuple[HTTPStatus, str]


class Health(Listener):
    """Published, watched and removed as the gRPC sockets are; only what is spoken differs."""

    def __init__(self, path: Path, standing: Callable[[], Standing]) -> None:
        super().__init__(path, 0o600, None, self._open_http)
        self._standing = standing
        self._callers = 0

    async def _open_http(self, path: Path) -> Bound:
        front = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with private():
                front.bind(str(path))
            return _Http(await asyncio.start_unix_server(self._attend, sock=front, limit=_HEAD_SIZE))
        except BaseException:
            front.close()
            raise

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection is over; nobody can hold it open."""
        self._callers += 1
        try:
            # A caller that goes away or stays silent gets no answer and leaves no trace.
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_SECONDS):
                    status, text = await self._listen(reader)
                    writer.write(_message(status, text))
                    await writer.drain()
        finally:
            self._callers -= 1
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> Answer:
        if self._callers > _MOST_CALLERS:
            return HTTPStatus.SERVICE_UNAVAILABLE, "too many callers"
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {_HEAD_SIZE} bytes"
        line = head.split(b"\r\n", 1)[0]
        if len(line) > _LINE_SIZE:
            return HTTPStatus.REQUEST_URI_TOO_LONG, f"at most {_LINE_SIZE} bytes"
        asked = _REQUEST.fullmatch(line)
        if asked is None:
            return HTTPStatus.BAD_REQUEST, "not a request of HTTP/1.1"
        if asked[1] != b"GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, "only GET"
        return self._answer(asked[2])

    def _answer(self, path: bytes) -> Answer:
        if path == b"/livez":
            return HTTPStatus.OK, "ok"
        if path != b"/readyz":
            return HTTPStatus.NOT_FOUND, "/livez or /readyz"
        standing = self._standing()
        if standing.reason is None:
            return HTTPStatus.OK, "ok"
        # Without the detail: the kubelet copies these words into Events, which users may read.
        return HTTPStatus.SERVICE_UNAVAILABLE, f"{standing.state} {standing.reason}"


class _Http:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    async def stop(self, grace: float) -> None:  # noqa: ARG002  an answer takes no time worth waiting for
        self._server.close()


def _message(status: HTTPStatus, text: str) -> bytes:
    body = f"{text}\n"
    allow = "Allow: GET\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body.encode())}\r\n{allow}Connection: close\r\n\r\n{body}"
    ).encode()
