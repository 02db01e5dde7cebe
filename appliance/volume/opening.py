"""Opening the volume's newest generation, the same way at the first boot and at the hundredth."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import KeySet, KeyState
from appliance.logs import event
from appliance.volume import durable, traces
from appliance.volume.anchor import Anchor, Memory
from appliance.volume.audit import AuditLog, Head
from appliance.volume.generations import AUDIT, LEDGER, UNFIT, VERIFIED, Survey, Volume, VolumeState, digest
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, read_header, unseal
from appliance.volume.slot import HeldSlot, MachineSlot, Unwrapper
from appliance.volume.traces import Shortfall

# Entries from the end of the audit log: enough to find the last change that was committed.
_LOOKED_AT = 50

_NOT_SEALED = {**UNFIT, VolumeState.EMPTY: faults.VOLUME_EMPTY}


@dataclass(frozen=True)
class Opened:
    """*digest* identifies the generation: SHA-256 of the sealed file, in hexadecimal digits."""

    header: Header
    payload: Payload
    protection: str
    warnings: tuple[Fault, ...] = ()
    digest: str = ""

    @property
    def keyset(self) -> KeySet:
        return self.payload.keyset

    @property
    def memory(self) -> Memory:
        """What the anchor is to remember of it."""
        lineage, generation = self.header.lineage, self.header.generation
        ids = self.keyset.ids
        return Memory(lineage, generation, self.digest, self.keyset.hash, ids, self.keyset.newest)


@dataclass(frozen=True)
class Storage:
    """The volume with everything that is needed to open it."""

    volume: Volume
    custody: MachineSlot
    anchor: Anchor
    expected_lineage: str | None = None
    # Makes what is to open a first generation beside this machine's own slot.
    beside: Callable[[], HeldSlot] | None = None

    def first_slots(self) -> tuple[HeldSlot, ...]:
        """The slots of a first generation. The machine's own key is made if there is none."""
        self.custody.create()
        own = self.custody.load().hold()
        return (own, self.beside()) if self.beside else (own,)

    def header(self, survey: Survey) -> Header:
        """The newest generation's header, not yet proved."""
        return read_header(self.volume.read(survey.newest))

    def sealed(self) -> Survey:
        """The volume with something to open on it; raises the reason when there is nothing."""
        survey = self.volume.survey()
        if survey.state is not VolumeState.SEALED:
            raise KleidiError(_NOT_SEALED[survey.state], ", ".join(survey.strangers))
        return survey

    def open(self, others: Sequence[Unwrapper] = ()) -> Opened:
        """Unseal the newest generation. Never falls back to an older one: it may lack the newest key.

        *others* are tried first: they are in memory, where the seal key may be a server that is away. They
        do without it when it is gone.
        """
        survey = self.sealed()
        sealed = self.volume.read(survey.newest)
        header, content = unseal(sealed, [*others, *self._seal_key(others)])
        payload = Payload.from_bytes(content)
        if header.generation != survey.newest or header.lineage != payload.keyset.lineage:
            raise KleidiError(faults.SEAL_CORRUPT, "its name, header and payload differ")
        opened = Opened(header, payload, self.protection(header), digest=digest(sealed))
        return replace(opened, warnings=(*self.recognise(header, opened), *self._held_against_log(payload)))

    def _held_against_log(self, payload: Payload) -> tuple[Fault, ...]:
        """What the seal remembers of the audit log must still be in it."""
        try:
            self.audit.check(payload.audit or Head())
        except KleidiError as error:
            return (error.fault,)
        return ()

    def log_lost(self, payload: Payload) -> str:
        """What the audit log lacks of what the seal remembers; empty when it lacks nothing."""
        try:
            self.audit.check(payload.audit or Head())
        except KleidiError as error:
            return error.detail
        return ""

    def remember(self, opened: Opened) -> tuple[Fault, ...]:
        """Write down what was opened, outside the volume; what cannot be written is a warning."""
        # A volume that may only be read cannot, and was opened all the same.
        with contextlib.suppress(KleidiError):
            self.volume.settle()
        warnings: dict[Fault, None] = {}
        # Each on its own: either one alone still tells that there was a key.
        try:
            self.anchor.advance(opened.memory, opened.payload.lost)
        except KleidiError as error:
            warnings[error.fault] = None
        try:
            self.custody.mark_used(opened.header.lineage)
        except OSError:
            warnings[faults.ANCHOR_UNWRITABLE] = None
        return tuple(warnings)

    def forget(self, opened: Opened) -> None:
        """Remove older generations that still hold a key destroyed since. Needs the volume's lock.

        The change that destroyed it does so itself, unless it was cut off behind its commit.
        """
        gone = {key.object_id for key in opened.payload.keyset.keys if key.state is KeyState.DESTROYED}
        for generation in self.volume.older(opened.header.generation) if gone else ():
            with contextlib.suppress(KleidiError):  # not ours to read: then it tells nobody anything
                content = unseal(self.volume.read(generation), opened.payload.slots)[1]
                keys = Payload.from_bytes(content).keyset.keys
                if any(key.object_id in gone and key.state is not KeyState.DESTROYED for key in keys):
                    self.volume.remove(generation)

    def remembers(self, opened: Opened) -> bool:
        """Whether anchor and mark know of what was opened."""
        try:
            known = self.anchor.read()
        except KleidiError:
            return False
        if self.anchor.path is None:
            return self.custody.used()
        grown = known and known.grown(opened.memory, opened.payload.lost)
        return self.custody.used() and known is not None and known == grown

    def shortfall(self, opened: Opened) -> Shortfall | None:
        """What was seen here and is not in *opened*; None when nothing is missing."""
        known, logged = self._known(), self._logged()
        return traces.shortfall(opened.keyset, opened.header.generation, known, logged, opened.payload.lost)

    def adrift(self, opened: Opened) -> str:
        """How the volume differs from *opened*, which was its newest generation; empty while it does not."""
        if why := self.volume.why_changed():
            return why
        survey, generation = self.volume.survey(), opened.header.generation
        if survey.state is not VolumeState.SEALED:
            return ", ".join([f"the volume is {survey.state}", *survey.strangers])
        if survey.newest != generation:
            return f"generation {survey.newest} is the newest, not {generation}"
        try:
            same = digest(self.volume.read(generation)) == opened.digest
        except KleidiError as error:
            return error.detail
        return "" if same else f"it has another generation {generation}"

    def next_generation(self, opened: Opened) -> int:
        """A number that nothing remembers: above the volume's, the anchor's and the log's."""
        known = self._known()
        return max(opened.header.generation, known.generation if known else 0, self._logged()) + 1

    def _known(self) -> Memory | None:
        """An anchor that cannot be read is told of by itself, and says nothing here."""
        try:
            return self.anchor.read()
        except KleidiError:
            return None

    def _logged(self) -> int:
        try:
            return traces.logged_generation(self.audit.tail(_LOOKED_AT))
        except KleidiError:
            return 0

    def highest_version(self, opened: Opened) -> int:
        """The highest version that a key of this lineage ever had, as any trace of it tells."""
        files = [*self.audit.every, *(self.volume.path / name for name in (LEDGER, VERIFIED))]
        known = self._known()
        remembered = known.version if known and known.lineage == opened.header.lineage else 0
        on_volume = traces.highest_version(opened.header.lineage, files)
        return max(opened.keyset.newest, remembered, on_volume)

    def only_begun(self) -> bool:
        """Whether all that the volume tells of is a first boot that was cut off before it made a key."""
        try:
            alone = self.volume.traces() == [AUDIT] and self.audit.verify() == 1
            return alone and traces.only_begun(self.audit.tail(1))
        except KleidiError:
            return False

    def note(self, opened: Opened, op: str, by: str, **told: object) -> None:
        """Write down that somebody is given what is *opened*. Needs the lock; raises E-AUDIT-FAILED.

        Where the volume is not ours to write on, in our own log: what is in memory may be all that is left.
        """
        told = {"by": by, "generation": opened.header.generation, "keyset": opened.keyset.hash, **told}
        if adrift := self.adrift(opened):
            event(logging.WARNING, f"{op} without a line in the audit log", detail=adrift, **told)
        else:
            self.audit.append(op, phase="done", **told)

    @property
    def audit(self) -> AuditLog:
        return AuditLog(self.volume.path / AUDIT)

    def leftovers(self) -> bool:
        return any(durable.leftovers(directory, name) for directory, name in self._written())

    def sweep(self) -> None:
        """Remove the leftovers of interrupted writes. Needs the volume's lock."""
        for directory, name in self._written():
            durable.sweep(directory, name)

    def _seal_key(self, others: Sequence[Unwrapper]) -> list[Unwrapper]:
        try:
            return [self.custody.load()]
        except KleidiError:
            if not others:
                raise
            return []

    def protection(self, header: Header) -> str:
        """What stands between the volume and its keys, as the weakest slot has it; empty when unknown."""
        # Whatever else is configured: a key on the volume opens it for whoever has the volume.
        if any(slot.kind == "volume" for slot in header.slots):
            return "none"
        try:
            return self.custody.protection(self.volume.path, header.slots)
        except OSError:
            return ""  # the seal key's directory is gone with it

    def _written(self) -> list[tuple[Path, str]]:
        """Every directory that we write to, and how the names of our files in it begin."""
        beside = [path for path in (self.custody.path, self.anchor.path) if path is not None]
        return [(self.volume.path, ""), *((path.parent, path.name) for path in beside)]

    def recognise(self, header: Header, opened: Opened | None = None) -> tuple[Fault, ...]:
        """Whether it is what was seen here before; without the *opened* seal its number alone can tell.

        Raises E-LINEAGE-FOREIGN.
        """
        if self.expected_lineage not in (None, header.lineage):
            raise KleidiError(
                faults.LINEAGE_FOREIGN, f"expected {self.expected_lineage}, found {header.lineage}"
            )
        try:
            known = self.anchor.read()
        except KleidiError as error:
            return (error.fault,)
        if known and known.lineage != header.lineage:
            raise KleidiError(
                faults.LINEAGE_FOREIGN, f"{known.lineage} is remembered, {header.lineage} found"
            )
        seen = max(known.generation if known else 0, self._logged())
        missing = self.shortfall(opened) if opened else seen > header.generation
        return (faults.ROLLED_BACK,) if missing else ()
