"""Opening the volume's newest generation, the same way at the first boot and at the hundredth."""

from dataclasses import dataclass
from pathlib import Path

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.volume import durable
from appliance.volume.anchor import Anchor, Memory
from appliance.volume.custody import Custody
from appliance.volume.generations import Survey, Volume, VolumeState
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, read_header, unseal

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

    def open(self) -> Opened:
        """Unseal the newest generation. Never falls back to an older one: it may lack the newest key."""
        survey = self.volume.survey()
        if survey.state is not VolumeState.SEALED:
            raise KleidiError(_NOT_SEALED[survey.state], ", ".join(survey.strangers))
        key = self.custody.load()
        header, content = unseal(self.volume.read(survey.newest), [key])
        payload = Payload.from_bytes(content)
        if header.generation != survey.newest or header.lineage != payload.keyset.lineage:
            raise KleidiError(faults.SEAL_CORRUPT, "its name, header and payload differ")
        warnings = self._recognise(header)
        return Opened(header, payload, self.custody.protection(self.volume.path), warnings)

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

    def _written(self) -> list[tuple[Path, str]]:
        """Every directory that we write to, and how the names of our files in it begin."""
        beside = [path for path in (self.custody.path, self.anchor.path) if path is not None]
        return [(self.volume.path, ""), *((path.parent, path.name) for path in beside)]

    def _recognise(self, header: Header) -> tuple[Fault, ...]:
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
