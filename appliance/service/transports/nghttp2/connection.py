"""One connection: reads, lets calls be answered, writes; ends when it is asked to or has been silent."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final, cast

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.rpc import answers
from appliance.service.rpc.calls import Answer, Answering, Refusal
from appliance.service.transports.nghttp2 import limits
from appliance.service.transports.nghttp2._interface import ffi
from appliance.service.transports.nghttp2.call import Call
from appliance.service.transports.nghttp2.session import BrokenError, Session

if TYPE_CHECKING:
    from appliance.service.transports.nghttp2.server import Server

# What a client that is asked to go still sends in good faith is on its way for less than this.
_NOTICE_SECONDS: Final = 0.05
# One for all: nothing of it is needed when a read has been taken in.
_INPUT: Final = bytearray(64 * 1024)
_INPUT_VIEW: Final = memoryview(_INPUT)
_INPUT_START: Final = ffi.from_buffer("char[]", _INPUT)


class Connection(asyncio.BufferedProtocol):
    """Made by its server for whoever connects; *caller* is told to services that ask."""

    _transport: asyncio.Transport
    _session: Session

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._paused = self._leaving = False
        self._called_at = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        admitted = self._server.admit(self, transport.get_extra_info("socket"))
        if admitted is None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=limits.SEND_BUFFER)
        self._session = self._server.session(admitted, self._wake)
        self._look_in(limits.GREETING_SECONDS)
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _INPUT_VIEW

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._session.receive(_INPUT_START, nbytes)
        except BrokenError:
            self._flush()
            self._close()
            return
        self._attend()

    def _attend(self) -> None:
        """Answer what has arrived. Only now: who has left by what was read last is not served any more."""
        for call in self._session.arrived():
            self._answer(call)
        self._flush()

    def _wake(self) -> None:
        self._loop.call_soon(self._attend_if_open)

    def _attend_if_open(self) -> None:
        if not self._transport.is_closing():
            self._attend()

    def _answer(self, call: Call) -> None:
        self._called_at = time.monotonic()
        answering = self._server.methods.get(call.path)
        if answering is None:
            self._session.refuse(call, answers.Code.UNIMPLEMENTED, "this socket has no such method")
        else:
            self._begin(call, answering)

    def _begin(self, call: Call, answering: Answering) -> None:
        """Answer at once. One that waits says so by a bare yield (rpc/calls.py), and gets a task."""
        answer = answering.answer(call)
        try:
            answer.send(None)
            if self._server.waiting < limits.PENDING:
                self._server.waiting += 1
                call.task = self._loop.create_task(self._finish(call, _Rest(answer)))
                call.task.add_done_callback(self._server.waits_no_more)
                return
            answer.throw(KleidiError(faults.QUEUE_FULL))
        except StopIteration as done:
            self._tell(call, done.value)

    async def _finish(self, call: Call, answer: Awaitable[Answer]) -> None:
        said: Answer
        try:
            async with asyncio.timeout(call.remaining()):
                said = await answer
        except TimeoutError:
            said = Refusal(answers.code(faults.CALLER_GONE), answers.text(faults.CALLER_GONE))
        call.task = None
        self._tell(call, said)
        self._flush()

    def _tell(self, call: Call, answer: Answer) -> None:
        if isinstance(answer, Refusal):
            self._session.refuse(call, answer.code, answer.words)
        else:
            self._session.answer(call, answer.SerializeToString())

    def _flush(self) -> None:
        more = True
        while more and not self._paused:
            data = self._session.send(limits.SEND_BUFFER)
            if data:
                self._transport.write(data)
            more = len(data) >= limits.SEND_BUFFER
        if self._session.over:
            self._close()

    def _close(self) -> None:
        """What is still to be sent has some time; a reader that never reads does not keep its place."""
        if not self._transport.is_closing():
            self._transport.close()
            self._look_in(limits.CLOSING_SECONDS)

    def pause_writing(self) -> None:
        # Who does not read is not read from either: what it asks for would only pile up.
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  whoever hangs up, it is no fault
        if self._timer is not None:
            self._timer.cancel()
            self._session.close()
        self._server.lost(self)

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Whether it was silent for too long, as is who does not go on with a call or take its answer."""
        silent = time.monotonic() - self._called_at
        if self._transport.is_closing() or not self._session.greeted:
            self._transport.abort()
        elif silent < limits.IDLE_SECONDS or any(call.task for call in self._session.calls.values()):
            self._look_in(max(limits.IDLE_SECONDS - silent, limits.GREETING_SECONDS))
        elif self._leaving:
            self._transport.abort()
        else:
            self.leave()
            self._look_in(limits.CLOSING_SECONDS)

    def leave(self) -> None:
        """Ask the client to dial again; what is under way ends."""
        if self._leaving or self._transport.is_closing():
            return
        self._leaving = True
        self._session.announce_leave()
        self._flush()
        self._loop.call_later(_NOTICE_SECONDS, self._leave)

    def _leave(self) -> None:
        if not self._transport.is_closing():
            self._session.leave()
            self._flush()

    def abort(self) -> None:
        self._transport.abort()


class _Rest:
    """What a coroutine has still to do after its first step."""

    def __init__(self, coroutine: Coroutine[Any, Any, Answer]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._coroutine.__await__()
