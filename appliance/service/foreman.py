"""The foreman: one change at a time, done beside the calls and finished even if the caller hangs up."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from appliance.keys import lifecycle
from appliance.keys.keyset import Key
from appliance.ops.check import Condition, may_destroy, may_disable
from appliance.ops.operations import Command, Operations, Outcome
from appliance.service.keeper import Keeper
from appliance.volume.opening import Opened
from appliance.volume.payload import FoundToken


class Foreman:
    def __init__(self, keeper: Keeper, operations: Operations) -> None:
        self._keeper = keeper
        self._operations = operations
        # Not the token's thread: building takes tenths of seconds, in processes of its own.
        self._thread = ThreadPoolExecutor(1, "workshop")
        self._busy = asyncio.Lock()

    async def change(self, command: Command) -> Outcome:
        return await self.do(lambda opened: self._operations.run(opened, command))

    async def adopt(self, found: FoundToken, annotation: str, *, dry_run: bool) -> Outcome:
        return await self.do(
            lambda opened: self._operations.adopt(opened, found, annotation, dry_run=dry_run)
        )

    async def do(self, work: Callable[[Opened], Outcome]) -> Outcome:
        """Raises KleidiError with nothing changed, or with what was committed being served."""
        return await asyncio.shield(asyncio.ensure_future(self._do(work)))

    def check(self, name: str, stored: int | None) -> tuple[Key, list[Condition], bool, bool]:
        keyset = self._keeper.opened().payload.keyset
        key = lifecycle.find(keyset, name)
        found = self._operations.conditions(keyset, key, stored)
        return key, found, may_disable(found), may_destroy(found)

    async def _do(self, work: Callable[[Opened], Outcome]) -> Outcome:
        async with self._busy:
            opened = self._keeper.opened()
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, work, opened)
            finally:
                # What is on the volume is what holds, also when only a part of the work was done.
                await self._keeper.switch()
