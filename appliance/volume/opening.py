"""Opening the volume's newest generation, the same way at the first boot and at the hundredth."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import KeyState
from appliance.volume import durable
from appliance.volume.anchor import Anchor, Memory
from appliance.volume.custody import Custody
from appliance.volume.generations import Survey, Volume, VolumeState
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, read_header, unseal
from appliance.volume.slot import HeldSlot, Unwrapper

_NOT_SEALED = {
    VolumeState.MISSING: faults.VOLUME_MISSING,
    VolumeState.UNREADABLE: faults.VOLUME_UNREADABLE,
    VolumeState.FOREIGN: faults.VOLUME_FOREIGN,
    VolumeState.EMPTY: faults.VOLUME_EMPTY,
}


@dataclass(frozen=True)
class Opened:
    header: Header
    payload: Payload
    protection: str
    warnings: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Storage:
    """The volume with everything that is needed to open it."""

    volume: Volume
    custody: Custody
    anchor: Anchor
    expected_lineage: str | None = None

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

        *others* are tried as well, behind the seal key, and do without it when it is gone.
        """
        survey = self.sealed()
        header, content = unseal(self.volume.read(survey.newest), [*self._seal_key(others), *others])
        payload = Payload.from_bytes(content)
        if header.generation != survey.newest or header.lineage != payload.keyset.lineage:
            raise KleidiError(faults.SEAL_CORRUPT, "its name, header and payload differ")
        warnings = self.recognise(header)
        return Opened(header, payload, self._protection(header), warnings)

    def why_gone(self, slots: Sequence[HeldSlot]) -> str:
        """Why the seal key would not open what *slots* are kept of; empty when it would."""
        try:
            key = self.custody.load()
        except KleidiError as error:
            return str(error)
        return "" if any(key.fits(slot) for slot in slots) else str(faults.SEAL_KEY_WRONG)

    def remember(self, header: Header) -> tuple[Fault, ...]:
        """Write down what was opened, outside the volume; what cannot be written is a warning."""
        self.volume.settle()
        warnings: dict[Fault, None] = {}
        # Each on its own: either one alone still tells that there was a key.
        try:
            self.anchor.advance(Memory(header.lineage, header.generation))
        except KleidiError as error:
            warnings[error.fault] = None
        try:
            self.custody.mark_used(header.lineage)
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

    def remembers(self, header: Header) -> bool:
        """Whether anchor and mark know of what was opened."""
        try:
            known = self.anchor.read()
        except KleidiError:
            return False
        return self.custody.used() and (
            self.anchor.path is None or (known is not None and known.generation >= header.generation)
        )

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

    def _protection(self, header: Header) -> str:
        # Whatever else is configured: a key on the volume opens it for whoever has the volume.
        if any(slot.kind == "volume" for slot in header.slots):
            return "none"
        try:
            return self.custody.protection(self.volume.path)
        except OSError:
            return ""  # the seal key's directory is gone with it

    def _written(self) -> list[tuple[Path, str]]:
        """Every directory that we write to, and how the names of our files in it begin."""
        beside = [path for path in (self.custody.path, self.anchor.path) if path is not None]
        return [(self.volume.path, ""), *((path.parent, path.name) for path in beside)]

    def recognise(self, header: Header) -> tuple[Fault, ...]:
        """Hold it against what is remembered outside the volume. Raises E-LINEAGE-FOREIGN; the rest warns."""
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
        if known and known.generation > header.generation:
            return (faults.ROLLED_BACK,)
        return ()
