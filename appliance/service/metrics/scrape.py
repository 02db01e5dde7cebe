"""A scrape: a moment, taken on the event loop, becomes text in a thread. The first loads what that needs."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.nodes.invitation import Invitations
from appliance.service.keeper import Keeper
from appliance.service.metrics.kept import Kept, Shelf
from appliance.service.metrics.moment import Moment
from appliance.service.metrics.stored import StoredObjects
from appliance.service.metrics.table import Sample
from appliance.service.rpc.calls import Service
from appliance.service.sockets.http import Answer
from appliance.telemetry import Counts
from appliance.volume.ledger import Ledger


@dataclass(frozen=True)
class Scrape:
    """*services* are those whose calls are counted."""

    keeper: Keeper
    counts: Counts
    services: Sequence[Service]
    ledger: Ledger
    shelf: Shelf
    invitations: Invitations
    stored: StoredObjects

    async def answer(self) -> Answer:
        """As it stands now; waits for a disk, but not for long."""
        kept = await self.shelf.look(self.keeper.sealed_head())
        return await asyncio.to_thread(self._told, self._moment(), kept)

    def _moment(self) -> Moment:
        standing = self.keeper.standing()
        self.counts.stands(standing.state)
        return Moment(
            time.time(),
            standing,
            self.counts,
            self.services,
            self.keeper.engines(),
            self.keeper.waiting(),
            self.keeper.unusable(),
            self.invitations.open,
        )

    def _told(self, moment: Moment, kept: Kept) -> Answer:
        from appliance.service.metrics import rendering

        text = rendering.rendered(self._samples(moment, kept))
        return Answer(text.removesuffix("\n"), form=rendering.FORM)

    def _samples(self, moment: Moment, kept: Kept) -> Iterator[Sample]:
        from appliance.service.metrics import calls, keys, process, standings

        yield from calls.samples(moment)
        yield from standings.samples(moment)
        yield from keys.samples(moment, self.ledger)
        yield from self.stored.samples()
        yield from kept.samples(moment)
        yield from process.samples()
