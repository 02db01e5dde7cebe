"""The server's life: sockets first, then the token; on SIGTERM the sockets drain and the token is closed."""

import asyncio
import logging
import signal
from collections.abc import Coroutine, Sequence

from appliance import faults
from appliance.faults import KleidiError
from appliance.logs import event
from appliance.service.keeper import Keeper
from appliance.service.listener import Listener

# Above the API server's 3 s, below supervisord's stopwaitsecs.
_GRACE_SECONDS = 4.0
_LOOK_SECONDS = 2.0


async def serve(
    keeper: Keeper, listeners: Sequence[Listener], others: Sequence[Coroutine[None, None, None]] = ()
) -> None:
    """Serve until SIGTERM or SIGINT. The sockets answer from the start, whatever the token's state.

    *others* run beside and are cancelled at the end.

    Raises KleidiError when a socket cannot be bound.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    opened: list[Listener] = []
    looks: list[asyncio.Task[None]] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        for listener in listeners:
            await listener.open()
            opened.append(listener)
            looks.append(asyncio.create_task(_look_after(listener, keeper)))
        event(logging.INFO, "listening", socket=listeners[0].path)
        tasks.append(asyncio.create_task(keeper.run()))
        tasks += [asyncio.create_task(other) for other in others]
        await stopping.wait()
        event(logging.INFO, "stopping")
    finally:
        # Before the sockets: a path that goes now is not to be published again.
        await _end(looks)
        await asyncio.gather(*(listener.close(_GRACE_SECONDS) for listener in opened))
        await _end(tasks)
        keeper.close()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _look_after(listener: Listener, keeper: Keeper) -> None:
    taken = ""
    while True:
        before = taken
        try:
            taken = await listener.keep(_LOOK_SECONDS, _GRACE_SECONDS)
        except KleidiError as error:
            event(logging.ERROR, str(error))
            continue
        if taken:
            keeper.remark(faults.SOCKET_TAKEN, taken)
        elif before:  # only our own remark, not another listener's
            keeper.withdraw(faults.SOCKET_TAKEN)
