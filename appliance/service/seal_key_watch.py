"""The watch over the seal key: looks now and then whether the next start would open by itself."""

import asyncio
import contextlib
import math
import time

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.keeper import Keeper
from appliance.volume.opening import Storage


class SealKeyWatch:
    def __init__(self, keeper: Keeper, storage: Storage) -> None:
        self._keeper = keeper
        self._storage = storage
        self._tried = -math.inf

    async def look(self) -> None:
        """While it serves: what is open stays open, but somebody has to know."""
        custody = self._storage.custody
        thorough = time.monotonic() - self._tried >= custody.try_seconds
        with contextlib.suppress(KleidiError):  # it does not serve, and tells that itself
            slots = self._keeper.opened().payload.slots
            # Not here: a key file on a disk that hangs must not hold up the calls.
            why = await asyncio.to_thread(custody.why_gone, slots, thorough=thorough) if slots else ""
            if thorough:
                self._tried = time.monotonic()
            if why:
                self._keeper.remark(faults.SEAL_KEY_GONE, why)
            else:
                self._keeper.withdraw(faults.SEAL_KEY_GONE)

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._storage.custody.look_seconds)
