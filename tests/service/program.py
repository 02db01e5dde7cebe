"""`python -m tests.service.program ROOT TRANSPORT`: a server of its own process, on the scene below ROOT.

SIGUSR1 lets the engine hang, SIGUSR2 lets go of it.
"""

import asyncio
import signal
import sys
from pathlib import Path

from appliance import logs
from appliance.faults import KleidiError
from appliance.service.server import serve
from tests.service.scene import Scene


def main() -> None:
    scene = Scene(Path(sys.argv[1]), transport=sys.argv[2])
    signal.signal(signal.SIGUSR1, lambda *_: scene.engine.hang())
    signal.signal(signal.SIGUSR2, lambda *_: scene.engine.release())
    logs.configure(form="json", level="debug")

    async def run() -> None:
        await serve(*scene.assemble())

    try:
        asyncio.run(run())
    except KleidiError as error:
        sys.exit(error.fault.id)


if __name__ == "__main__":
    main()
