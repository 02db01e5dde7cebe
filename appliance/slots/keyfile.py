"""The slots `file` and `volume`: 32 random bytes in a file, the machine's own way in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.slots.asked import Asked
from appliance.volume.custody import Custody
from appliance.volume.slot import HeldSlot


@dataclass(frozen=True)
class KeyFile:
    custody: Custody

    @property
    def kind(self) -> str:
        return self.custody.kind

    def hold(self, name: str) -> HeldSlot:
        """A new slot for what is in the file. Raises E-SEAL-KEY-…."""
        held = self.custody.load().hold()
        return replace(held, values={"name": name, **held.values})

    def recall(self, values: Mapping[str, str]) -> HeldSlot:
        """The slot with those public *values*, if this is its file; only the seal can tell."""
        try:
            return self.custody.load().recall(values)
        except (KeyError, ValueError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {self.kind}") from error


@dataclass(frozen=True)
class Opening:
    """Both kinds: *kind* tells where the file is."""

    kind: str

    def secret(self, asked: Asked) -> KeyFile:
        return KeyFile(self._custody(asked, asked.key_file or asked.seal_key))

    def add(self, asked: Asked, name: str, *, dry_run: bool) -> tuple[HeldSlot, KeyFile]:
        """A key file that is missing is made."""
        secret = KeyFile(self._custody(asked, asked.key_file))
        if not dry_run:
            secret.custody.create()
        return secret.hold(name), secret

    def _custody(self, asked: Asked, path: Path | None) -> Custody:
        if self.kind == "volume":
            return Custody(self.kind, asked.volume / "seal.key")
        if path is None:
            raise KleidiError(faults.COMMAND_LINE, "a key file is named with --key-file FILE")
        real = path.resolve()
        if real.is_relative_to(asked.volume.resolve()):
            raise KleidiError(faults.SLOT_SECRET, f"{real} is on the volume that it would open")
        return Custody(self.kind, real)
