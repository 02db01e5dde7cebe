"""The real server with one more, empty, handler on its socket: `python -m tests.bench.beside`."""

import asyncio

import grpc

from appliance import assembly, logs
from appliance.service.changes import Changes
from appliance.service.engines.finder import Finder
from appliance.service.rpc.kms import KeyManagement
from appliance.service.server import serve
from appliance.service.sockets.binding import speaks_grpc
from appliance.service.sockets.listener import Listener
from appliance.service.tripwire import Tripwire
from appliance.settings import load
from appliance.telemetry import LogLines

METHOD = "/bench.Empty/Empty"


async def _empty(_request: bytes, _context: object) -> bytes:
    return b""


async def main() -> None:
    settings = load()
    logs.configure(form=settings.log_format, level=settings.log_level)
    counted, observer = assembly.ledger(settings), LogLines()
    engines = assembly.engines(settings)
    keeper = assembly.keeper(settings, counted, assembly.storage(settings), engines, observer)
    empty = grpc.method_handlers_generic_handler(
        "bench.Empty", {"Empty": grpc.unary_unary_rpc_method_handler(_empty)}
    )
    changes = Changes(keeper, assembly.operations(settings, counted, assembly.storage(settings), engines))
    finder = Finder(keeper, changes, assembly.here())
    kms = KeyManagement(keeper, counted, Tripwire(keeper), finder, observer)
    handlers = kms.handler(), empty
    await serve(keeper, [Listener(settings.socket, settings.socket_mode, None, speaks_grpc(*handlers))])


if __name__ == "__main__":
    asyncio.run(main())
