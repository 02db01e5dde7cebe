"""A session of nghttp2's without a socket: bytes in, bytes out, and every call gets its own body back."""

import logging
from dataclasses import dataclass, field
from typing import Self

import hpack

from appliance.faults import KleidiError
from appliance.logs import log
from appliance.service.limits import MESSAGE
from appliance.service.rpc import answers
from appliance.service.transports.nghttp2._interface import ffi
from appliance.service.transports.nghttp2.call import Call, Places
from appliance.service.transports.nghttp2.session import BrokenError, Session
from tests.http2 import DATA, END_STREAM, GOAWAY, HEAD, HEADERS, RESET

_MUCH = 1 << 20


class Row(Places):
    """Places that tell who is there."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.inside: set[Call] = set()

    def take(self, call: Call) -> Call | None:
        self.inside.add(call)
        if gone := super().take(call):
            self.inside.remove(gone)
        return gone

    def leave(self, call: Call) -> None:
        super().leave(call)
        self.inside.discard(call)


class Mistakes(logging.Handler):
    """What a callback of ours raises: nghttp2 sees no more than a number."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


class Line:
    def __init__(self, most: int = 256) -> None:
        self.arriving, self.leaving = Row(most), Row(most)
        self.broken = False
        self.sent = bytearray()
        self.mistakes = Mistakes()
        self.session = Session("", MESSAGE, self.arriving, self.leaving, lambda: None)

    def __enter__(self) -> Self:
        log.addHandler(self.mistakes)
        return self

    def __exit__(self, *_: object) -> None:
        log.removeHandler(self.mistakes)
        self.session.close()
        assert not self.session.calls
        assert not self.arriving.inside | self.leaving.inside
        assert self.mistakes.seen == []

    def feed(self, data: bytes) -> None:
        """As a connection does with what it has read."""
        if self.broken or self.session.over:
            return
        try:
            self.session.receive(ffi.from_buffer("char[]", data), len(data))
        except BrokenError:
            self.broken = True
        for call in self.session.arrived():
            self._answer(call)
        while sent := self.session.send(_MUCH):
            self.sent += sent

    def _answer(self, call: Call) -> None:
        try:
            call.read().send(None)
        except StopIteration as read:
            self.session.answer(call, read.value)
        except KleidiError as error:
            self.session.refuse(call, answers.code(error.fault), str(error))


@dataclass
class Told:
    """What came on one stream."""

    status: str = ""
    code: str = ""
    body: bytes = b""
    ends: int = 0
    resets: list[int] = field(default_factory=list)


def told(sent: bytes) -> tuple[dict[int, Told], list[int]]:
    """By stream, and with which codes the connection was ended."""
    streams: dict[int, Told] = {}
    goodbyes, decoder = [], hpack.Decoder()
    while sent:
        high, low, kind, flags, stream = HEAD.unpack_from(sent)
        size = (high << 16) + low
        payload, sent = sent[HEAD.size : HEAD.size + size], sent[HEAD.size + size :]
        if kind == GOAWAY:
            goodbyes.append(int.from_bytes(payload[4:8], "big"))
        if not stream or kind not in {DATA, HEADERS, RESET}:
            continue
        here = streams.setdefault(stream, Told())
        if kind == DATA:
            here.body += payload
        elif kind == RESET:
            here.resets.append(int.from_bytes(payload, "big"))
        else:
            given: dict[str, str] = {str(name): str(value) for name, value in decoder.decode(payload)}
            here.status = given.get(":status", here.status)
            here.code = given.get("grpc-status", here.code)
        here.ends += bool(kind != RESET and flags & END_STREAM)
    return streams, goodbyes
