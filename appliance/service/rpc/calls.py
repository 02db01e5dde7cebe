"""A call from its bytes to its answer, whatever carries it: a strict reading, an error from the one table."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.rpc import answers, asked
from appliance.telemetry import Called, Observer

Q = TypeVar("Q", bound=Message)
Reply = Message
Handler = Callable[[Any], Awaitable[Reply]]
Method = tuple[type[Message], Handler]
Methods = Mapping[str, Method]

_NOTHING: Mapping[str, object] = MappingProxyType({})
# Who makes the call that is being answered, as `uid:pid`; known where the socket asks who connects.
CALLER: ContextVar[str] = ContextVar("caller", default="")


class Call(Protocol):
    """What the transport knows of one call."""

    async def read(self) -> bytes:
        """Its message, as it came. Raises E-REQUEST-INVALID and E-REQUEST-UNFINISHED."""
        ...

    def remaining(self) -> float | None:
        """Seconds until the caller goes away; None when it waits for ever."""
        ...

    def caller(self) -> str:
        """`uid:pid`, empty where the socket does not ask."""
        ...


@dataclass(frozen=True)
class Refusal:
    code: answers.Code
    words: str


Answer = Reply | Refusal


@dataclass(slots=True)
class Begun:
    """How many calls of a method began."""

    number: int = 0


@dataclass(frozen=True)
class Answering:
    """One method of a service: coroutines, request in and reply out, that raise KleidiError.

    A *frank* one tells details as well, and knows its caller: it talks to operators alone.

    What does not wait for anything is answered in the coroutine's first step, so that it needs no task. One
    that waits says so by a bare yield, asyncio.sleep(0): from there on it has a task.
    """

    name: str
    request: type[Message]
    handler: Handler
    observer: Observer
    largest: int
    frank: bool = False
    begun: Begun = field(default_factory=Begun)

    @cached_property
    def _fields(self) -> frozenset[str]:
        """Asked beforehand: to ask a message for a field that it has not costs two microseconds."""
        return frozenset(self.request.DESCRIPTOR.fields_by_name)

    async def answer(self, call: Call) -> Answer:
        """Never raises but for a cancellation."""
        started, uid, fields = time.perf_counter(), "", self._fields
        name, about = self.name, _NOTHING
        self.begun.number += 1
        try:
            if self.frank:
                await asyncio.sleep(0)
            data = await call.read()
            if len(data) > self.largest:
                raise KleidiError(faults.REQUEST_INVALID, f"{len(data)} bytes, at most {self.largest}")
            remaining = call.remaining()
            if remaining is not None and remaining <= 0:
                raise KleidiError(faults.CALLER_GONE)
            message: Any = _parse(self.request, data)
            if self.frank:
                CALLER.set(call.caller())
                name, about = asked.words(self.name, message, call.caller())
            if "uid" in fields:
                uid = answers.printable(message.uid)
            reply = await self.handler(message)
        except KleidiError as error:
            fault, detail, rpc = error.fault, error.detail, self.name
            told = Called(name, _since(started), uid, fault=fault, detail=detail, about=about, rpc=rpc)
            self.observer.observe(told)
            words = str(error) if self.frank else answers.text(error.fault, uid, error.said)
            return Refusal(answers.code(fault), words)
        except Exception as bug:  # noqa: BLE001  its text would reach users: the API server copies our words
            fault = faults.INTERNAL
            told = Called(name, _since(started), uid, fault=fault, bug=bug, about=about, rpc=self.name)
            self.observer.observe(told)
            return Refusal(answers.code(fault), answers.text(fault, uid))
        key_id = message.key_id if "key_id" in fields else getattr(reply, "key_id", "")
        if self.frank and (generation := getattr(reply, "generation", 0)):
            about = {**about, "generation": generation}
        # Told when the answer is on its way: a log line costs half of what the cipher does.
        told = Called(name, _since(started), uid, key_id, about=about, rpc=self.name)
        asyncio.get_running_loop().call_soon(self.observer.observe, told)
        return reply


@dataclass(frozen=True)
class Service:
    """What can be called on a socket, by the methods' names.

    A transport takes in messages of *message* bytes: more than any request has, so that a refusal is in our
    own words.
    """

    name: str
    methods: Mapping[str, Answering]
    message: int


def service(  # noqa: PLR0913  what, where it is told, and how much of it
    name: str, methods: Methods, observer: Observer, *, largest: int, message: int, frank: bool = False
) -> Service:
    """A gRPC service of these *methods*."""
    answerings = {
        method: Answering(method, request, handler, observer, largest, frank)
        for method, (request, handler) in methods.items()
    }
    return Service(name, answerings, message)


def _parse(request: type[Q], data: bytes) -> Q:
    try:
        return request.FromString(data)
    except DecodeError as error:
        raise KleidiError(faults.REQUEST_INVALID, f"{len(data)} bytes") from error


def _since(started: float) -> float:
    return time.perf_counter() - started
