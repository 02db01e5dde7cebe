"""gRPC's side of a call: grpc.aio carries it here, and a faster transport would replace this file alone."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from appliance.service import limits
from appliance.service.rpc.calls import Answering, Methods, Refusal, Reply
from appliance.service.rpc.intake import Intake
from appliance.service.sockets import peercred
from appliance.telemetry import Observer

_Context = grpc.aio.ServicerContext[bytes, bytes]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def service(
    name: str, methods: Methods, observer: Observer, *, largest: int, frank: bool = False
) -> grpc.GenericRpcHandler:
    """A gRPC service of these *methods*; requests have *largest* bytes at most."""
    intake = Intake(limits.ARRIVING, largest)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, Reply]] = {
        # On the wire no other than a call of one message; but it is we who ask for that message (intake.py).
        method: grpc.stream_unary_rpc_method_handler(
            # Requests arrive as bytes: a message that cannot be parsed gets our answer, not the library's.
            _carried(Answering(method, request, handler, observer, frank), intake),
            response_serializer=lambda reply: reply.SerializeToString(),
        )
        for method, (request, handler) in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _carried(answering: Answering, intake: Intake) -> Callable[..., Awaitable[Reply]]:
    async def carry(_messages: object, context: _Context) -> Reply:
        answer = await answering.answer(_Call(context, intake))
        if isinstance(answer, Refusal):
            await context.abort(_CODES[answer.code], answer.words)
        return answer

    return carry


class _Call:
    def __init__(self, context: grpc.aio.ServicerContext[Any, Any], intake: Intake) -> None:
        self._context = context
        self._intake = intake

    async def read(self) -> bytes:
        return await self._intake.take(self._context)

    def remaining(self) -> float | None:
        return self._context.time_remaining()

    def caller(self) -> str:
        return peercred.caller_of(self._context.peer())
