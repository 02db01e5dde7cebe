"""Following the server's rotations: a new version is staged at once, and encrypts ten minutes later.

Ten minutes, so that every other node has met it, or finds it when it is asked for it. What is staged by hand
in that engine is promoted in the same way: whoever follows has no other use of a staged key.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import Key, KeyState
from appliance.logs import event
from appliance.ops.operations import Command, Verb
from appliance.service.changes import Changes
from appliance.service.keeper import Keeper

STAGED_SECONDS = 600
_LOOK_SECONDS = 20.0
_REASON = "followed a rotation at the server"


class Follower:
    def __init__(  # noqa: PLR0913, PLR0917  what it follows, by what, and as whom
        self,
        keeper: Keeper,
        changes: Changes,
        engine: str,
        newer: Fault,
        by: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """*newer* is what that *engine* warns of when there is a version to take up."""
        self._keeper = keeper
        self._changes = changes
        self._engine = engine
        self._newer = newer
        self._by = by
        self._now = now

    async def run(self) -> None:
        while True:
            await self.step()
            await asyncio.sleep(_LOOK_SECONDS)

    async def step(self) -> None:
        """Do what is due, if anything is; what fails now is tried again."""
        standing = self._keeper.standing()
        if not standing.serves or standing.keyset is None:
            return
        keys = standing.keyset.keys
        staged = next((key for key in keys if key.state is KeyState.STAGED), None)
        if staged is not None and staged.engine == self._engine and self._due(staged):
            await self._try(Command(Verb.PROMOTE, staged.name, expect_keyset=standing.keyset.hash))
        elif staged is None and any(fault is self._newer for fault, _ in standing.reasons):
            await self._try(Command(Verb.STAGE, engine=self._engine))

    def _due(self, staged: Key) -> bool:
        return self._now() - staged.since.unix >= STAGED_SECONDS

    async def _try(self, command: Command) -> None:
        try:
            outcome = await self._changes.change(replace(command, by=self._by, reason=_REASON))
        except KleidiError as error:
            event(logging.WARNING, "could not follow", engine=self._engine, detail=str(error))
        else:
            event(
                logging.INFO, "followed", engine=self._engine, key_id=outcome.key.id, state=outcome.key.state
            )
