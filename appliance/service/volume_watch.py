"""The watch over the volume: looks now and then whether it still is what is being served from."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.logs import event
from appliance.service.keeper import Keeper
from appliance.volume.opening import Opened, Storage

_LOOK_SECONDS = 2.0
_OF_THE_ANCHOR = (faults.ANCHOR_UNREADABLE, faults.ANCHOR_UNWRITABLE)


class VolumeWatch:
    """Changes nothing but the anchor, which is written again when it went away."""

    def __init__(self, keeper: Keeper, storage: Storage, catch_up: Callable[[], Awaitable[None]]) -> None:
        self._keeper = keeper
        self._storage = storage
        self._catch_up = catch_up

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """While it serves: what is open stays open, but somebody has to know."""
        with contextlib.suppress(KleidiError):  # it does not serve, and tells that itself
            opened = self._keeper.opened()
            # Not here: a disk that hangs must not hold up the calls.
            adrift = await asyncio.to_thread(self._storage.adrift, opened)
            if adrift:
                adrift = await self._caught_up(adrift)
            if adrift:
                self._keeper.remark(faults.VOLUME_GONE, adrift)
                return
            self._keeper.withdraw(faults.VOLUME_GONE)
            remembered = await asyncio.to_thread(self._remember, opened)
            for fault in _OF_THE_ANCHOR:
                if fault in remembered:
                    self._keeper.remark(fault)
                else:
                    self._keeper.withdraw(fault)

    async def _caught_up(self, adrift: str) -> str:
        """A change may be under way or half told: what remains adrift when none is."""
        try:
            await self._catch_up()
            return await asyncio.to_thread(self._storage.adrift, self._keeper.opened())
        except KleidiError as error:
            return error.detail or adrift

    def _remember(self, opened: Opened) -> tuple[Fault, ...]:
        if self._storage.remembers(opened):
            return ()
        found = self._storage.remember(opened)
        if faults.LINEAGE_FOREIGN in found:
            return (faults.ANCHOR_UNREADABLE,)  # it was exchanged: what it tells is not of this volume
        if not found:
            event(logging.WARNING, "the anchor was gone or behind, and is written again")
        return found
