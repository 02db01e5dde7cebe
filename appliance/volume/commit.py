"""The one commit: every change of a volume takes this way, from where it began to one rename.

    where it began? · audit: begin · seal · each slot opens it · every key is tried · backups ·
    where it began? · rename ← the commit point · remember · prune · audit: done

The first generation takes it too, made here or brought. Whatever fails before the rename has changed
nothing; what fails behind it is told beside what was done.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import EngineState
from appliance.keys.engines import Engines
from appliance.telemetry import NOBODY, Committed, Observer
from appliance.volume import memory
from appliance.volume.audit import Head
from appliance.volume.generations import digest
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, read_header, seal, unseal
from appliance.volume.traces import PROVISION
from appliance.volume.trial import prove

# Enough to look back by hand.
_KEPT_GENERATIONS = 3

Hook = Callable[[Header, Payload], None]


@dataclass(frozen=True)
class Change:
    """What the audit log is told of a change: *op*, *by* whom (`uid:pid`), and at its end *made*.

    *purges*: no generation before it may stay, for what was taken away must not open or be found in them.
    *accepts*: that something is missing which was seen here, is what the change is about.
    """

    op: str
    by: str
    told: Mapping[str, object] = field(default_factory=dict)
    made: Mapping[str, object] = field(default_factory=dict)
    purges: bool = False
    accepts: bool = False

    def __post_init__(self) -> None:
        if not self.by:
            raise AssertionError(f"{self.op}: somebody must have asked for it")


@dataclass(frozen=True)
class Done:
    """The generation that holds now, what could not be done behind its commit, and whether a key was born."""

    opened: Opened
    said: tuple[str, ...] = ()
    born: bool = False


@dataclass(frozen=True)
class Committer:
    """Needs the volume's lock, held by whoever calls. *before* is run ahead of every commit."""

    storage: Storage
    engines: Engines
    memory_dir: Path
    before: tuple[Hook, ...] = ()
    observer: Observer = NOBODY

    def demand(self, start: Opened, *, accepts: bool = False) -> None:
        """Raise KleidiError unless *start* is what the volume holds, and all that was ever seen of it.

        To be asked before anything is built: the commit asks again.
        """
        if adrift := self.storage.adrift(start):
            raise KleidiError(faults.VOLUME_CHANGED, adrift)
        missing = self.storage.shortfall(start)
        if missing and not accepts:
            raise KleidiError(faults.VOLUME_OLD, missing.why)

    def commit(self, start: Opened, payload: Payload, change: Change) -> Done:
        """Make *payload* the next generation after *start*. Nothing has changed when this raises.

        Unless that is E-VOLUME-UNSURE: then it is there, and may not outlive a power cut.
        """
        started = time.monotonic()
        self.demand(start, accepts=change.accepts)
        header = Header(start.header.lineage, self.storage.next_generation(start))
        head = self._begin(change, header, self.storage.log_lost(start.payload))
        payload = replace(payload, audit=head)
        sealed = self._tried(header, payload, start.payload)
        self.demand(start, accepts=change.accepts)
        self.storage.volume.commit(header.generation, sealed)
        opened = Opened(read_header(sealed), payload, start.protection, start.warnings, digest(sealed))
        return self._behind(opened, change, started)

    def first(self, header: Header, payload: Callable[[], Payload], change: Change) -> Done:
        """Bring a volume without keys its first generation: *payload* is asked for once that has begun."""
        started = time.monotonic()
        self.storage.volume.demand_unchanged()
        # The first thing to be written: from here on nobody takes this volume for a new one. A first boot
        # that is tried without end began once, and its own beginning does not stand in its way.
        begun = change.op == PROVISION and self.storage.only_begun()
        head = self.storage.audit.head() if begun else self._begin(change, header)
        ours = replace(payload(), audit=head)
        sealed = self._tried(header, ours)
        protection = self.storage.protection(header)
        self.storage.volume.commit(header.generation, sealed)
        opened = Opened(read_header(sealed), ours, protection, digest=digest(sealed))
        return self._behind(opened, change, started)

    def _tried(self, header: Header, payload: Payload, before: Payload | None = None) -> bytes:
        """*payload* sealed: opened by each slot, its keys tried, and backed up; *before* was there before."""
        if not payload.slots:
            raise AssertionError("a seal without a slot opens for nobody")
        sealed = seal(header, payload.to_bytes(), payload.slots)
        # Opened with the slots' keys and not with what is in hand: each slot must open it.
        for slot in payload.slots:
            if Payload.from_bytes(unseal(sealed, [slot])[1]) != payload:
                raise AssertionError("a sealed payload came back changed")
        with memory.room(self.memory_dir) as scratch:
            prove(self.engines, scratch, self._unsure(payload, before), payload.keyset)
        for hook in self.before:
            hook(header, payload)
        return sealed

    def _unsure(self, payload: Payload, before: Payload | None) -> dict[str, EngineState]:
        """What is to be tried: all that lies in the seal; elsewhere only what this change is about.

        An engine that is away must not hinder what has nothing to do with it.
        """
        turned = before is None or before.keyset.primary.id != payload.keyset.primary.id
        return {
            name: state
            for name, state in payload.engines.items()
            if not self.engines[name].remote
            or before is None
            or state != before.state(name)
            or (turned and payload.keyset.primary.engine == name)
        }

    def _begin(self, change: Change, header: Header, lost: str = "") -> Head:
        """*lost* is what the log lacked: from here on the seal knows it as it is now, so it is told."""
        return self.storage.audit.append(
            change.op, phase="begin", **self._told(change, header), log_lost=lost
        )

    def _behind(self, opened: Opened, change: Change, started: float) -> Done:
        """What follows the commit: it is done, whatever becomes of this."""
        known, generation = opened.warnings, opened.header.generation
        self.observer.observe(Committed(change.op, change.by, generation, time.monotonic() - started))
        remembered = self.storage.remember(opened)
        self.storage.volume.prune(generation - (1 if change.purges else _KEPT_GENERATIONS))
        warnings = tuple(dict.fromkeys((*self.storage.recognise(opened.header, opened), *remembered)))
        said = [str(fault) for fault in warnings if fault not in known]
        try:
            told = self._told(change, opened.header)
            self.storage.audit.append(change.op, phase="done", **told, **change.made)
        except KleidiError as error:
            # What begins it in the log names the generation it led to.
            said.append(f"it is done, but the audit log does not say so ({error.detail})")
        return Done(replace(opened, warnings=warnings), tuple(said))

    @staticmethod
    def _told(change: Change, header: Header) -> dict[str, object]:
        return {"by": change.by, "generation": header.generation, **change.told}
