"""A service carried by grpc.aio."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from appliance.service import limits as common
from appliance.service.rpc.calls import Answering, Refusal, Reply, Service
from appliance.service.sockets.binding import Bind, Bound, private
from appliance.service.transports.grpcio import limits, relay
from appliance.service.transports.grpcio.intake import Intake

_Context = grpc.aio.ServicerContext[bytes, bytes]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def speaks_grpcio(service: Service, *, guarded: bool) -> Bind:
    async def bind(path: Path) -> Bound:
        server = _Server(service)
        await server.start(path)
        return server

    return relay.guarded(bind) if guarded else bind


class _Server:
    def __init__(self, service: Service) -> None:
        self._server = grpc.aio.server(options=limits.options(service.message))
        self._server.add_generic_rpc_handlers([_handler(service)])

    async def start(self, path: Path) -> None:
        try:
            with private():
                self._server.add_insecure_port(f"unix:{path}")
            await self._server.start()
        except BaseException as error:  # a stop may come in the middle, and a server must never be dropped
            await self._server.stop(None)
            if isinstance(error, RuntimeError):
                raise OSError(str(error)) from error
            raise

    async def stop(self, grace: float) -> None:
        await self._server.stop(grace)


def _handler(service: Service) -> grpc.GenericRpcHandler:
    intake = Intake(common.ARRIVING)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, Reply]] = {
        # On the wire no other than a call of one message; but it is we who ask for that message (intake.py).
        method: grpc.stream_unary_rpc_method_handler(
            # Requests arrive as bytes: a message that cannot be parsed gets our answer, not the library's.
            _carried(answering, intake),
            response_serializer=lambda reply: reply.SerializeToString(),
        )
        for method, answering in service.methods.items()
    }
    return grpc.method_handlers_generic_handler(service.name, handlers)


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
        return relay.caller_of(self._context.peer())
