"""The smallest HTTP/1.1 that a probe or a scraper can ask: GET, one answer, the end.

Not a gRPC service, because a gRPC client costs a probe 0.2 s of CPU and 37 MB each time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from appliance import faults
from appliance.logs import log
from appliance.service.sockets import limits, request
from appliance.service.sockets.binding import Bind, Bound, bound_socket
from appliance.service.sockets.request import Query, RefusedError

TEXT, JSON = "text/plain; charset=utf-8", "application/json"
UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Answer:
    """*text* without the line break that ends it; *form* is its Content-Type."""

    text: str
    status: HTTPStatus = HTTPStatus.OK
    form: str = TEXT


@dataclass(frozen=True)
class Route:
    """*answer* is made anew for every request, on the event loop or waited for, from what is behind the `?`.

    A *frank* one tells details as well: it talks to operators alone, on the Unix socket.
    """

    answer: Callable[[Query], Answer | Awaitable[Answer]]
    frank: bool = False


# What is answered at each path.
Routes = Mapping[str, Route]


def speaks_http(routes: Routes) -> Bind:
    """A server of these *routes*, new for every path; raises OSError when the path cannot be bound."""

    async def bind(path: Path) -> Bound:
        front = bound_socket(path)
        try:
            attend = Attendant(routes).attend
            return _Http(await asyncio.start_unix_server(attend, sock=front, limit=limits.HEAD))
        except BaseException:
            front.close()
            raise

    return bind


class _Http:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    async def stop(self, grace: float) -> None:  # noqa: ARG002  an answer takes no time worth waiting for
        self._server.close()


class Attendant:
    """Answers whoever connects. Where it is *exposed*, who asks need be no operator, nor even mean us."""

    def __init__(self, routes: Routes, *, exposed: bool = False) -> None:
        self._routes = routes
        self._exposed = exposed
        self._callers = 0

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection is over; nobody can hold it open."""
        # So that an answer counts as taken when it has left us, not when most of it has.
        writer.transport.set_write_buffer_limits(0)
        self._callers += 1
        try:
            # A caller that goes away or stays silent gets no answer and leaves no trace.
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(limits.SECONDS):
                    writer.write(_message(await self._listen(reader)))
                    await writer.drain()
        finally:
            self._callers -= 1
            # Closing would wait for who does not read.
            writer.transport.abort()

    async def _listen(self, reader: asyncio.StreamReader) -> Answer:
        if self._callers > limits.CALLERS:
            return Answer("too many callers", UNAVAILABLE)
        try:
            return await self._answer(await reader.readuntil(request.END))
        except asyncio.LimitOverrunError:
            return Answer(f"at most {limits.HEAD} bytes", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except RefusedError as refused:
            return Answer(refused.words, refused.status)

    async def _answer(self, head: bytes) -> Answer:
        asked = request.read(head)
        if self._exposed and not asked.names_us:
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "Host must be an address or localhost")
        route = self._routes.get(asked.path)
        if route is None:
            known = " or ".join(path for path in self._routes if path.count("/") == 1)
            raise RefusedError(HTTPStatus.NOT_FOUND, known)
        if route.frank and self._exposed:
            raise RefusedError(HTTPStatus.FORBIDDEN, "only on the Unix socket")
        try:
            answer = route.answer(asked.query)
            return answer if isinstance(answer, Answer) else await answer
        except Exception:  # noqa: BLE001  its text would reach whoever asks
            log.exception("a mistake of ours", extra={"fields": {"path": asked.path}})
            return Answer(str(faults.INTERNAL), HTTPStatus.INTERNAL_SERVER_ERROR)


def _message(answer: Answer) -> bytes:
    status, body = answer.status, f"{answer.text}\n".encode()
    allow = "Allow: GET\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {answer.form}\r\n"
        f"Content-Length: {len(body)}\r\n{allow}"
        # As the control plane's own answers have them.
        "Cache-Control: no-cache, private\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
