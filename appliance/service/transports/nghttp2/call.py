"""One call as gRPC has it on HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md): what is here, and what is wrong."""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from appliance import faults
from appliance.faults import KleidiError
from appliance.service import limits

if TYPE_CHECKING:
    from appliance.service.transports.nghttp2.session import Session

# Of these the server wants to know; lengths first, for most headers are none of them.
PATH, METHOD, CONTENT_TYPE, TIMEOUT = b":path", b":method", b"content-type", b"grpc-timeout"
GRPC: Final = b"application/grpc"
NAME_SIZES: Final = frozenset(map(len, (PATH, METHOD, CONTENT_TYPE, TIMEOUT)))
# Counted for each header as HTTP/2 does (RFC 9113, 6.5.2).
HEADER_OVERHEAD: Final = 32
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_DIGITS: Final = 8
_PREFIX: Final = 5  # compressed or not, and the message's length


class Call:
    """Filled by its session as frames come; answered once. Its caller is who made the connection."""

    __slots__ = (
        "_body", "_caller", "_deadline", "_fault", "announced", "answered", "arrived", "content_type",
        "ended", "header_size", "id", "method", "path", "reply", "sent", "session", "task",
    )  # fmt: skip

    def __init__(self, stream: int, session: "Session", caller: str) -> None:
        self.id, self.session = stream, session
        self.path = self.method = self.content_type = b""
        self.header_size = 0
        # Its stream's end was seen; it is to be answered as it is; that was done.
        self.ended = self.arrived = self.answered = False
        self.announced: int | None = None
        self.reply, self.sent = b"", 0
        self.task: asyncio.Task[None] | None = None
        self._caller = caller
        self._deadline: float | None = None
        self._fault: KleidiError | None = None
        # One piece: a body that comes two bytes a frame would else take thirty times its size.
        self._body = bytearray()

    def take_header(self, name: bytes, value: bytes) -> None:
        if name == PATH:
            self.path = value
        elif name == METHOD:
            self.method = value
        elif name == CONTENT_TYPE:
            self.content_type = value
        elif name == TIMEOUT:
            number, unit = value[:-1], value[-1:]
            if len(number) > _DIGITS or not number.isdigit() or unit not in _SECONDS:
                self.fail("grpc-timeout")
            else:
                self._deadline = time.monotonic() + int(number) * _SECONDS[unit]

    def take(self, data: bytes) -> None:
        """A piece of the body. What is announced is known with the first five bytes."""
        self._body += data
        if self.announced is None and len(self._body) >= _PREFIX:
            self.announced = int.from_bytes(self._body[1:_PREFIX], "big")
        if self.announced is not None and len(self._body) > _PREFIX + self.announced:
            self.fail("more than one message")

    def fail(self, why: str) -> None:
        """It is not what it should be; its first mistake is told."""
        self._give_up(KleidiError(faults.REQUEST_INVALID, why))

    def unfinished(self) -> None:
        self._give_up(KleidiError(faults.REQUEST_UNFINISHED))

    def _give_up(self, error: KleidiError) -> None:
        self._fault = self._fault or error
        self._body.clear()

    @property
    def is_grpc(self) -> bool:
        """Of whatever message format: grpc-web, which is another protocol, is none of them."""
        return self.content_type == GRPC or self.content_type.startswith((GRPC + b"+", GRPC + b";"))

    @property
    def failed(self) -> bool:
        return self._fault is not None

    async def read(self) -> bytes:
        if self._fault is not None:
            raise self._fault
        if self.announced is None or len(self._body) < _PREFIX + self.announced:
            raise KleidiError(faults.REQUEST_INVALID, f"{len(self._body)} bytes, no whole message")
        if self._body[0]:
            raise KleidiError(faults.REQUEST_INVALID, "compressed")
        message = bytes(self._body[_PREFIX:])
        self._body.clear()
        return message

    def remaining(self) -> float | None:
        return None if self._deadline is None else self._deadline - time.monotonic()

    def caller(self) -> str:
        return self._caller


class Places:
    """Room for *most* calls: who comes when all is taken gets the place of who has had one longest.

    One that is as it should be leaves within a few turns of the event loop, so only those that never go on
    stand at the end of the row: nobody waits for a place, and a crowd locks nobody out.
    """

    def __init__(self, most: int = limits.ARRIVING) -> None:
        self._most = most
        self._taken: dict[Call, None] = {}

    def take(self, call: Call) -> Call | None:
        """Who has to go for it."""
        self._taken[call] = None
        if len(self._taken) <= self._most:
            return None
        oldest = next(iter(self._taken))
        del self._taken[oldest]
        return oldest

    def leave(self, call: Call) -> None:
        self._taken.pop(call, None)
