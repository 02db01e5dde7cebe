"""The slots `file` and `volume`: 32 random bytes in a file, the machine's own way in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance import faults
from appliance.faults import KleidiError
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
