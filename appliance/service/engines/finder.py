"""A key id of our lineage that is not held may be another node's, in an engine that both share.

It is looked for once in ten seconds for each id: what callers ask for costs the engine no more. Those that
ask meanwhile wait for the same look.
"""

import asyncio
import time
from collections.abc import Callable

from appliance.faults import KleidiError
from appliance.keys import key_id as ids
from appliance.ops.operations import Command, Verb
from appliance.service.changes import Changes
from appliance.service.keeper import Keeper

_AGAIN_SECONDS = 10.0
# Whoever may call can make ids up; what is beyond these is looked for when their time is over.
_MOST_IDS = 8


class Finder:
    def __init__(
        self, keeper: Keeper, changes: Changes, by: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        """*by* is whom the audit log names."""
        self._keeper = keeper
        self._changes = changes
        self._by = by
        self._now = now
        self._looks: dict[str, tuple[float, asyncio.Task[bool]]] = {}

    async def found(self, key_id: str) -> bool:
        """Whether it is held now. Waits as long as a look takes; whoever goes away stops nobody's."""
        standing = self._keeper.standing()
        if standing.keyset is None or ids.lineage(key_id) != standing.keyset.lineage:
            return False
        if not self._changes.finds():
            return False
        now = self._now()
        self._looks = {each: look for each, look in self._looks.items() if now - look[0] < _AGAIN_SECONDS}
        if key_id not in self._looks:
            if len(self._looks) >= _MOST_IDS:
                return False
            self._looks[key_id] = now, asyncio.create_task(self._look(key_id))
        await asyncio.sleep(0)  # it waits: rpc/calls.py, Answering
        return await asyncio.shield(self._looks[key_id][1])

    async def _look(self, key_id: str) -> bool:
        try:
            await self._changes.change(Command(Verb.DISCOVER, key_id, by=self._by))
        except KleidiError:
            # Not there, or the engine is away: the caller is told that the key is not held, as it is.
            return False
        return True
