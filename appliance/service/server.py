"""The server's life: sockets first, then the token; on SIGTERM the sockets drain and the token is closed."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence

from appliance import faults, logs
from appliance.faults import Fault, KleidiError
from appliance.logs import event
from appliance.service.keeper import Keeper
from appliance.service.sockets.binding import Listens

Work = Callable[[], Coroutine[None, None, None]]

# Above the API server's 3 s, below supervisord's stopwaitsecs.
_GRACE_SECONDS = 4.0
_LOOK_SECONDS = 2.0


async def serve(
    keeper: Keeper,
    listeners: Sequence[Listens],
    others: Sequence[Work] = (),
) -> None:
    """Serve until SIGTERM or SIGINT. The sockets answer from the start, whatever the token's state.

    *others* run beside and are cancelled at the end. A socket that the node is not ready for is waited for.
    Raises KleidiError when another instance has one of the sockets.
    """
    with logs.batched():
        await _serve(keeper, listeners, others)


async def _serve(keeper: Keeper, listeners: Sequence[Listens], others: Sequence[Work]) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    looks = [asyncio.create_task(_look_after(listener, keeper)) for listener in listeners]
    tasks = [asyncio.create_task(run()) for run in (keeper.run, *others)]
    stop = asyncio.create_task(stopping.wait())
    try:
        # A look ends only by an error: that of a socket that is somebody else's.
        await asyncio.wait([stop, *looks], return_when=asyncio.FIRST_COMPLETED)
        for look in looks:
            if look.done():
                look.result()
        event(logging.INFO, "stopping")
    finally:
        # Before the sockets: a path that goes now is not to be published again.
        stop.cancel()
        await _end(looks)
        await asyncio.gather(*(listener.close(_GRACE_SECONDS) for listener in listeners))
        await _end(tasks)
        keeper.close()
        event(logging.INFO, "stopped")


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _look_after(listener: Listens, keeper: Keeper) -> None:
    await _open(listener, keeper)
    event(logging.INFO, "listening", socket=str(listener))
    before: Fault | None = None
    while True:
        lost = await _lost(listener)
        if before and (lost is None or lost.fault is not before):
            keeper.withdraw(before)  # only our own remark, not another listener's
        before = lost.fault if lost else None
        if lost:
            keeper.remark(lost.fault, lost.detail)


async def _lost(listener: Listens) -> KleidiError | None:
    """Look after the path once: why nobody finds us there, if so."""
    try:
        taken = await listener.keep(_LOOK_SECONDS, _GRACE_SECONDS)
    except KleidiError as error:
        if error.fault.kind is not faults.Kind.WARNING:
            raise
        return error
    return KleidiError(faults.SOCKET_TAKEN, taken) if taken else None


async def _open(listener: Listens, keeper: Keeper) -> None:
    """Bind, as soon as the node is ready for it: the kubelet or an operator may still be at work."""
    before: Fault | None = None
    while True:
        hindrance = await _hindrance(listener)
        if before and (hindrance is None or hindrance.fault is not before):
            keeper.withdraw(before)  # only our own remark, not another listener's
        if hindrance is None:
            return
        before = hindrance.fault
        keeper.remark(before, hindrance.detail)
        await asyncio.sleep(_LOOK_SECONDS)


async def _hindrance(listener: Listens) -> KleidiError | None:
    """Try to open; what may be mended on the node is told of, anything else raised."""
    try:
        await listener.open()
    except KleidiError as error:
        if error.fault.kind is not faults.Kind.WARNING:
            raise
        return error
    return None
