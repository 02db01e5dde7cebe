"""What every call has in common: a strict reading, one log line, an error from the one table."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from appliance import faults
from appliance.faults import Fault, Kind, KleidiError
from appliance.logs import event, log
from appliance.service import limits
from appliance.service.rpc import answers
from appliance.service.rpc.intake import Intake
from appliance.service.sockets import peercred
from appliance.service.sparing import Sparing

Q = TypeVar("Q", bound=Message)
Handler = Callable[[Any], Awaitable[Message]]
Method = tuple[type[Message], Handler]
Methods = Mapping[str, Method]
_Context = grpc.aio.ServicerContext[bytes, bytes]

# Who makes the call that is being answered, as `uid:pid`; known where the socket asks who connects.
CALLER: ContextVar[str] = ContextVar("caller", default="")

# The caller's own mistakes are worth a line, not an alarm.
_CALLERS = {Kind.MALFORMED, Kind.UNKNOWN_KEY, Kind.TAMPERED, Kind.KEY_OFF, Kind.REFUSED}


def service(name: str, methods: Methods, limit: int, *, frank: bool = False) -> grpc.GenericRpcHandler:
    """A gRPC service from plain coroutines, request in and reply out; they raise KleidiError.

    Requests have *limit* bytes at most. A *frank* service tells details as well: it talks to operators alone.
    """
    intake = Intake(limits.ARRIVING, limit)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, Message]] = {
        # On the wire no other than a call of one message; but it is we who ask for that message (intake.py).
        method: grpc.stream_unary_rpc_method_handler(
            # Requests arrive as bytes: a message that cannot be parsed gets our answer, not the library's.
            _handler(method, request, handler, intake, frank=frank),
            response_serializer=lambda reply: reply.SerializeToString(),
        )
        for method, (request, handler) in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _handler(
    method: str, request: type[Message], handler: Handler, intake: Intake, *, frank: bool
) -> Callable[..., Awaitable[Message]]:
    sparing = Sparing()

    async def answer(_messages: object, context: _Context) -> Message:
        started = time.perf_counter()
        uid = ""
        try:
            data = await intake.take(context)
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                raise KleidiError(faults.CALLER_GONE)
            message = _parse(request, data)
            if frank:
                CALLER.set(peercred.caller_of(context.peer()))
            uid = answers.printable(getattr(message, "uid", ""))
            reply = await handler(message)
        except KleidiError as error:
            fault = error.fault
            words = str(error) if frank else answers.text(fault, uid, error.said)
            if sparing.lets(_level(method, fault), method, fault.id):
                _record(method, uid, _milliseconds(started), fault, error.detail)
        except Exception:  # noqa: BLE001  its text would reach users: the API server copies our words
            fault = faults.INTERNAL
            if sparing.lets(logging.ERROR, method, fault.id):
                log.exception("a mistake of ours", extra={"fields": {"method": method, "uid": uid}})
            words = answers.text(fault, uid)
        else:
            key_id = getattr(reply, "key_id", "") or getattr(message, "key_id", "")
            # Written when the answer is on its way: the line costs half of what the cipher does.
            spent = _milliseconds(started)
            asyncio.get_running_loop().call_soon(_record, method, uid, spent, None, key_id)
            return reply
        return await context.abort(answers.code(fault), words)

    return answer


def _parse(request: type[Q], data: bytes) -> Q:
    try:
        return request.FromString(data)
    except DecodeError as error:
        raise KleidiError(faults.REQUEST_INVALID, f"{len(data)} bytes") from error


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _record(method: str, uid: str, milliseconds: float, fault: Fault | None, detail: str) -> None:
    if fault is None:
        # Status comes every minute or every three seconds and never says anything new when all is well.
        level = logging.DEBUG if method in ("Status", "Report") else logging.INFO
        event(level, method, uid=uid, key_id=detail, ms=milliseconds)
    else:
        event(_level(method, fault), method, uid=uid, fault=fault.id, detail=detail, ms=milliseconds)


def _level(method: str, fault: Fault) -> int:
    if method == "Status":
        return logging.DEBUG  # asked every few seconds; the change itself was logged when it came
    return logging.WARNING if fault.kind in _CALLERS else logging.ERROR
