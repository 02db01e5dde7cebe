"""The watch over the seal key: looks now and then whether the next start would find its seal key."""

import asyncio
import contextlib

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.keeper import Keeper
from appliance.volume.opening import Storage

_LOOK_SECONDS = 2.0


class SealKeyWatch:
    def __init__(self, keeper: Keeper, storage: Storage) -> None:
        self._keeper = keeper
        self._storage = storage

    async def look(self) -> None:
        """While it serves: what is open stays open, but somebody has to know."""
        with contextlib.suppress(KleidiError):  # it does not serve, and tells that itself
            slots = self._keeper.opened().payload.slots
            # Not here: a key file on a disk that hangs must not hold up the calls.
            why = await asyncio.to_thread(self._storage.why_gone, slots) if slots else ""
            if why:
                self._keeper.remark(faults.SEAL_KEY_GONE, why)
            else:
                self._keeper.withdraw(faults.SEAL_KEY_GONE)

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)
