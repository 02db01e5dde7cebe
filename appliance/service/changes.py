"""One change at a time, done beside the calls and finished even if the caller hangs up."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from appliance.age.key_pairs import Recipients
from appliance.backup.bundle import hand_out
from appliance.faults import KleidiError
from appliance.keys import lifecycle
from appliance.keys.found import FoundToken
from appliance.keys.keyset import Key
from appliance.ops.check import Condition, Judgement
from appliance.ops.operations import Command, Operations, Outcome
from appliance.service.keeper import Keeper
from appliance.volume.opening import Opened

T = TypeVar("T")


class Changes:
    def __init__(self, keeper: Keeper, operations: Operations) -> None:
        self._keeper = keeper
        self._operations = operations
        # Not the token's thread: building takes tenths of seconds, in processes of its own.
        self._thread = ThreadPoolExecutor(1, "workshop")
        self._busy = asyncio.Lock()

    async def change(self, command: Command) -> Outcome:
        return await self.do(lambda opened: self._operations.run(opened, command))

    async def adopt(self, found: FoundToken, annotation: str, command: Command) -> Outcome:
        return await self.do(lambda opened: self._operations.adopt(opened, found, annotation, command))

    async def take_over(self, engine: str, name: str, theirs: str, command: Command) -> Outcome:
        return await self.do(lambda opened: self._operations.take_over(opened, engine, name, theirs, command))

    async def bundle(
        self, recipients: Recipients, reason: str, *, dry_run: bool, by: str
    ) -> tuple[bytes, Opened]:
        """All keys for *recipients*, and what they were taken from."""
        storage = self._operations.workshop.storage
        return await self.do(
            lambda opened: (hand_out(opened, recipients, storage, by, reason, dry_run=dry_run), opened)
        )

    def finds(self) -> bool:
        """Whether there is an engine in which a key of another node can be found."""
        try:
            return bool(self._operations.finds(self._keeper.opened()))
        except KleidiError:
            return False

    async def catch_up(self) -> None:
        """Go over to a generation that is newer than what is served. Raises KleidiError when it does not."""
        async with self._busy:
            await self._keeper.switch()

    async def do(self, work: Callable[[Opened], T]) -> T:
        """Raises KleidiError with nothing changed, or with what was committed being served."""
        return await asyncio.shield(asyncio.ensure_future(self._do(work)))

    async def begin(self, work: Callable[[], T]) -> T:
        """The same where nothing is open yet: *work* brings the first generation, under its own lock."""
        return await asyncio.shield(asyncio.ensure_future(self._begin(work)))

    def check(self, name: str, stored: int | None) -> tuple[Key, list[Condition], Judgement, Judgement]:
        """The key of that *name*, whether one can do without it, and whether to disable and to destroy it."""
        keyset = self._keeper.opened().payload.keyset
        key = lifecycle.find(keyset, name)
        found = self._operations.conditions(keyset, key, stored)
        return key, found, *self._operations.judge(keyset, key, found)

    async def _do(self, work: Callable[[Opened], T]) -> T:
        async with self._busy:
            opened = self._keeper.opened()
            try:
                done = await asyncio.get_running_loop().run_in_executor(self._thread, work, opened)
            except BaseException:
                # Only a part of the work may have been done, and that holds.
                with contextlib.suppress(KleidiError):
                    await self._keeper.switch()
                raise
            await self._keeper.switch()
            return done

    async def _begin(self, work: Callable[[], T]) -> T:
        async with self._busy:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, work)
            await self._keeper.settle()
            return done
