"""The real server with one more, empty, handler on its socket: `python -m tests.bench.beside`."""

import asyncio
from dataclasses import replace

from appliance import assembly, logs
from appliance.service.changes import Changes
from appliance.service.engines.finder import Finder
from appliance.service.rpc.calls import Answering
from appliance.service.rpc.kms import KeyManagement
from appliance.service.server import serve
from appliance.service.sockets.listener import Listener
from appliance.service.transports import speaks
from appliance.service.tripwire import Tripwire
from appliance.settings import load
from appliance.telemetry import NOBODY, LogLines
from proto.kmsv2 import api_pb2 as pb

METHOD = "/v2.KeyManagementService/Empty"


async def _empty(_request: pb.StatusRequest) -> pb.StatusResponse:
    return pb.StatusResponse()


async def main() -> None:
    settings = load()
    logs.configure(form=settings.log_format, level=settings.log_level)
    counted, observer = assembly.ledger(settings), LogLines()
    engines = assembly.engines(settings)
    keeper = assembly.keeper(settings, counted, assembly.storage(settings), engines, observer)
    changes = Changes(keeper, assembly.operations(settings, counted, assembly.storage(settings), engines))
    finder = Finder(keeper, changes, assembly.here())
    kms = KeyManagement(keeper, counted, Tripwire(keeper), finder, observer).service()
    empty = Answering("Empty", pb.StatusRequest, _empty, NOBODY, 0)
    service = replace(kms, methods={**kms.methods, "Empty": empty})
    bind = speaks(settings.transport, service)
    await serve(keeper, [Listener(settings.socket, settings.socket_mode, None, bind)])


if __name__ == "__main__":
    asyncio.run(main())
