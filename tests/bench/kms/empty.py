"""Our transport with nothing behind it, until it is killed: `python -m tests.bench.kms.empty SOCKET`."""

import asyncio
import sys
from pathlib import Path

from appliance.service import limits
from appliance.service.rpc.calls import service
from appliance.service.transports import NGHTTP2, speaks
from appliance.telemetry import NOBODY
from proto.kmsv2 import api_pb2 as pb


async def _empty(_request: pb.StatusRequest) -> pb.StatusResponse:
    return pb.StatusResponse()


async def main(socket: Path) -> None:
    methods = {"Empty": (pb.StatusRequest, _empty)}
    called = service("bench.Empty", methods, NOBODY, largest=limits.REQUEST, message=limits.MESSAGE)
    bound = await speaks(NGHTTP2, called)(socket)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await bound.stop(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
