"""The server's life: sockets first, then the token; on SIGTERM the sockets drain and the token is closed."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence

from appliance import faults
from appliance.faults import KleidiError
from appliance.logs import event
from appliance.service.keeper import Keeper
from appliance.service.listener import Listener

# Above the API server's 3 s, below supervisord's stopwaitsecs.
_GRACE_SECONDS = 4.0
_LOOK_SECONDS = 2.0


async def serve(keeper: Keeper, listeners: Sequence[Listener]) -> None:
    """Serve until SIGTERM or SIGINT. The sockets answer from the start, whatever the token's state.

    Raises KleidiError when a socket cannot be bound.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    opened: list[Listener] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        for listener in listeners:
            await listener.open()
            opened.append(listener)
            tasks.append(asyncio.create_task(_look_after(listener, keeper)))
        event(logging.INFO, "listening", socket=listeners[0].path)
        tasks.append(asyncio.create_task(keeper.run()))
        await stopping.wait()
        event(logging.INFO, "stopping")
    finally:
        await asyncio.gather(*(listener.close(_GRACE_SECONDS) for listener in opened))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        keeper.close()


async def _look_after(listener: Listener, keeper: Keeper) -> None:
    while True:
        try:
            taken = await listener.keep(_LOOK_SECONDS)
        except KleidiError as error:
            event(logging.ERROR, str(error))
            continue
        with contextlib.suppress(KeyError):
            if taken:
                keeper.remark(faults.SOCKET_TAKEN, taken)
            else:
                keeper.withdraw(faults.SOCKET_TAKEN)
