"""One connection's HTTP/2 without a socket: bytes in and whole calls out, answers in and bytes out."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from appliance.logs import event
from appliance.service import limits
from appliance.service.rpc.answers import Code
from appliance.service.transports.nghttp2 import headers
from appliance.service.transports.nghttp2 import limits as ours
from appliance.service.transports.nghttp2._interface import ffi
from appliance.service.transports.nghttp2.call import Call, Places
from appliance.service.transports.nghttp2.library import C
from appliance.service.transports.nghttp2.wiring import CALLBACKS, GREETING, LIB, OPTIONS, OUTPUT, REPLIES

# RFC 9113: frame types (6), a flag, error codes (7).
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM: Final = 1
_NO_ERROR, _ENHANCE_YOUR_CALM = 0, 11


class BrokenError(Exception):
    """The other end does not speak HTTP/2, or floods us: the connection is over."""


class Session:
    """Belongs to one connection; *wake* is called when it has something to do by itself."""

    def __init__(
        self, caller: str, largest: int, arriving: Places, leaving: Places, wake: Callable[[], None]
    ) -> None:
        self.calls: dict[int, Call] = {}
        self.greeted = False
        self.wake = wake
        self._caller, self._largest = caller, largest
        self._arriving, self._leaving = arriving, leaving
        self._whole: list[Call] = []
        self._unwanted: list[int] = []
        self._frames = 0
        self._handle = ffi.new_handle(self)
        made = ffi.new("nghttp2_session **")
        LIB.nghttp2_session_server_new2(made, CALLBACKS, self._handle, OPTIONS)
        self._session = made[0]
        LIB.nghttp2_submit_settings(self._session, 0, GREETING, len(GREETING))

    def receive(self, data: C, size: int) -> None:
        """Take *size* bytes. Raises BrokenError."""
        if LIB.nghttp2_session_mem_recv(self._session, data, size) < 0:
            raise BrokenError

    def arrived(self) -> list[Call]:
        """The calls that are here as a whole and were not answered yet, without those whose callers left."""
        whole, self._whole = self._whole, []
        return [call for call in whole if call.id in self.calls]

    def send(self, most: int) -> bytes:
        """What is to be sent now, about *most* bytes of it."""
        pieces, size = [], 0
        while size < most:
            length = LIB.nghttp2_session_mem_send(self._session, OUTPUT)
            if length > 0:
                pieces.append(ffi.unpack(OUTPUT[0], length))
                size += length
            elif not self._cut_off():
                break
        return b"".join(pieces)

    def _cut_off(self) -> bool:
        """Let go of bodies that nobody wants, once the answers are out (RFC 9113, 8.1).

        Submitted beside its answer, a reset would take it along.
        """
        unwanted, self._unwanted = self._unwanted, []
        for stream in self.calls.keys() & unwanted:
            LIB.nghttp2_submit_rst_stream(self._session, 0, stream, _NO_ERROR)
        return bool(unwanted)

    @property
    def over(self) -> bool:
        """Nothing is to be read or sent any more."""
        return not (
            LIB.nghttp2_session_want_read(self._session) or LIB.nghttp2_session_want_write(self._session)
        )

    def answer(self, call: Call, message: bytes) -> None:
        call.answered, call.reply = True, b"\0" + len(message).to_bytes(4, "big") + message
        if crowded_out := self._leaving.take(call):
            crowded_out.session.reset(crowded_out)
        opening = headers.OPENING
        LIB.nghttp2_submit_response(self._session, call.id, opening.first, opening.count, REPLIES)

    def refuse(self, call: Call, code: Code, words: str) -> None:
        self._end(call, headers.refusal(code, words))

    def reject(self, call: Call, status: HTTPStatus) -> None:
        self._end(call, headers.rejection(status))

    def _end(self, call: Call, last: headers.Headers) -> None:
        call.arrived = call.answered = True
        self._arriving.leave(call)
        LIB.nghttp2_submit_response(self._session, call.id, last.first, last.count, ffi.NULL)
        if not call.ended:
            self._unwanted.append(call.id)

    def reset(self, call: Call) -> None:
        """Drop a call whose answer nobody takes."""
        LIB.nghttp2_submit_rst_stream(self._session, 0, call.id, _ENHANCE_YOUR_CALM)
        self.wake()

    def announce_leave(self) -> None:
        """Say that no call should come any more; those on their way are still taken."""
        LIB.nghttp2_submit_shutdown_notice(self._session)

    def leave(self) -> None:
        """Take no more calls; what is under way ends."""
        last = LIB.nghttp2_session_get_last_proc_stream_id(self._session)
        LIB.nghttp2_submit_goaway(self._session, 0, last, _NO_ERROR, ffi.NULL, 0)

    def close(self) -> None:
        for call in [*self.calls.values()]:
            self._closed(call)
        LIB.nghttp2_session_del(self._session)

    # What nghttp2 tells, frame by frame.

    def begun(self, stream: int) -> Call:
        """The first header of a call."""
        call = self.calls[stream] = Call(stream, self, self._caller)
        return call

    def took_data(self, stream: int, data: C, size: int) -> None:
        call = self.calls.get(stream)
        if call is None or call.arrived:
            return
        call.take(ffi.unpack(data, size))
        if (call.announced or 0) > self._largest:
            told = f"a message of {call.announced} bytes, at most {self._largest} are taken"
            self.refuse(call, Code.RESOURCE_EXHAUSTED, told)
        elif call.failed:
            self._arrive(call)

    def took_frame(self, kind: int, flags: int, stream: int) -> None:
        call = self.calls.get(stream) if kind in (_DATA, _HEADERS) else None
        if call is not None:
            call.ended = bool(flags & _END_STREAM)
            if not call.arrived:
                self._go_on(call, kind)
            if call.ended:
                self._frames = 0
                return
        if kind == _SETTINGS:
            self.greeted = True
        self._frames += 1
        if self._frames == ours.FRAMES:
            event(logging.WARNING, "a client floods the socket")
            LIB.nghttp2_session_terminate_session(self._session, _ENHANCE_YOUR_CALM)

    def _go_on(self, call: Call, kind: int) -> None:
        if kind == _HEADERS and self._turned_away(call):
            return
        if call.ended or call.failed:
            self._arrive(call)
        elif kind == _HEADERS:
            self._make_room(call)

    def closed(self, stream: int) -> None:
        if call := self.calls.get(stream):
            self._closed(call)

    def _closed(self, call: Call) -> None:
        del self.calls[call.id]
        self._arriving.leave(call)
        self._leaving.leave(call)
        if call.task is not None:
            call.task.cancel()

    def _turned_away(self, call: Call) -> bool:
        """Of what is no call that could be answered, what HTTP and gRPC say."""
        if call.header_size > limits.METADATA:
            told = f"{call.header_size} bytes of metadata, at most {limits.METADATA} are taken"
            self.refuse(call, Code.RESOURCE_EXHAUSTED, told)
        elif call.method != b"POST":
            self.reject(call, HTTPStatus.METHOD_NOT_ALLOWED)
        elif not call.is_grpc:
            self.reject(call, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        else:
            return False
        return True

    def _make_room(self, call: Call) -> None:
        if crowded_out := self._arriving.take(call):
            crowded_out.unfinished()
            crowded_out.session.give_up(crowded_out)

    def give_up(self, call: Call) -> None:
        """Let it be answered as it is."""
        self._arrive(call)
        self.wake()

    def _arrive(self, call: Call) -> None:
        call.arrived = True
        self._arriving.leave(call)
        self._whole.append(call)
