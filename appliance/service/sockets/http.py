"""The smallest HTTP/1.1 that a probe or a scraper can ask on a Unix socket: GET, one answer, the end.

Not a gRPC service, because a gRPC client costs a probe 0.2 s of CPU and 37 MB each time.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from appliance.service.sockets.binding import Bind, Bound, bound_socket

_LINE_SIZE = 1024
_HEAD_SIZE = 4096
_SECONDS = 2.0
# A probe asks once in ten seconds; who opens more connections than this is no probe.
_MOST_CALLERS = 64
_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")


TEXT, JSON = "text/plain; charset=utf-8", "application/json"


@dataclass(frozen=True)
class Answer:
    """*text* without the line break that ends it; *form* is its Content-Type."""

    text: str
    status: HTTPStatus = HTTPStatus.OK
    form: str = TEXT


# What is answered at each path; made anew for every request, on the event loop.
Routes = Mapping[str, Callable[[], Answer]]


def speaks_http(routes: Routes) -> Bind:
    """A server of these *routes*, new for every path; raises OSError when the path cannot be bound."""

    async def bind(path: Path) -> Bound:
        front = bound_socket(path)
        try:
            attend = _Attendant(routes).attend
            return _Http(await asyncio.start_unix_server(attend, sock=front, limit=_HEAD_SIZE))
        except BaseException:
            front.close()
            raise

    return bind


class _Http:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    async def stop(self, grace: float) -> None:  # noqa: ARG002  an answer takes no time worth waiting for
        self._server.close()


class _Attendant:
    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._callers = 0

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection is over; nobody can hold it open."""
        self._callers += 1
        try:
            # A caller that goes away or stays silent gets no answer and leaves no trace.
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_SECONDS):
                    writer.write(_message(await self._listen(reader)))
                    await writer.drain()
        finally:
            self._callers -= 1
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> Answer:
        if self._callers > _MOST_CALLERS:
            return Answer("too many callers", HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Answer(f"at most {_HEAD_SIZE} bytes", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        line = head.split(b"\r\n", 1)[0]
        if len(line) > _LINE_SIZE:
            return Answer(f"at most {_LINE_SIZE} bytes", HTTPStatus.REQUEST_URI_TOO_LONG)
        asked = _REQUEST.fullmatch(line)
        if asked is None:
            return Answer("not a request of HTTP/1.1", HTTPStatus.BAD_REQUEST)
        if asked[1] != b"GET":
            return Answer("only GET", HTTPStatus.METHOD_NOT_ALLOWED)
        answer = self._routes.get(asked[2].decode())
        return answer() if answer else Answer(" or ".join(self._routes), HTTPStatus.NOT_FOUND)


def _message(answer: Answer) -> bytes:
    status, body = answer.status, f"{answer.text}\n"
    allow = "Allow: GET\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {answer.form}\r\n"
        f"Content-Length: {len(body.encode())}\r\n{allow}Connection: close\r\n\r\n{body}"
    ).encode()
