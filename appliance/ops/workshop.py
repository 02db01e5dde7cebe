"""Building the next generation: in memory, tried by a fresh process, committed by one rename."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.keys.keyset import KeySet
from appliance.volume import memory
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import FoundToken, Payload, TokenImage
from appliance.volume.seal import Header, seal, unseal

# Enough to look back by hand; a destroyed key must not linger in older ones.
_KEPT_GENERATIONS = 3


class TokenChanger(Protocol):
    """What changes need of an engine: all of it in processes of their own, away from the open token."""

    def extend(self, scratch: Path, image: TokenImage, object_id: str) -> tuple[TokenImage, bytes]:
        """*image* with one more key, and that key's known answer."""
        ...

    def reduce(self, scratch: Path, image: TokenImage, object_id: str) -> TokenImage:
        """*image* without a key."""
        ...

    def adopt(
        self, scratch: Path, image: TokenImage, found: FoundToken
    ) -> tuple[TokenImage, str, bytes, bool]:
        """*image* with a found token beside it; its key's name and known answer; whether it was encrypted."""
        ...

    def prove(self, scratch: Path, image: TokenImage, keyset: KeySet) -> None: ...


@dataclass(frozen=True)
class Workshop:
    """Needs the volume's lock, held by whoever calls."""

    storage: Storage
    changer: TokenChanger
    memory_dir: Path

    def extend(self, image: TokenImage, object_id: str) -> tuple[TokenImage, bytes]:
        with memory.room(self.memory_dir) as scratch:
            return self.changer.extend(scratch, image, object_id)

    def reduce(self, image: TokenImage, object_id: str) -> TokenImage:
        with memory.room(self.memory_dir) as scratch:
            return self.changer.reduce(scratch, image, object_id)

    def adopt(self, image: TokenImage, found: FoundToken) -> tuple[TokenImage, str, bytes, bool]:
        with memory.room(self.memory_dir) as scratch:
            return self.changer.adopt(scratch, image, found)

    def commit(
        self,
        current: Opened,
        payload: Payload,
        before: Sequence[Callable[[Header, Payload], None]] = (),
        *,
        keep: int = _KEPT_GENERATIONS,
    ) -> Opened:
        """Make *payload* the next generation. Nothing has happened when this raises.

        Unless the disk failed behind the rename: then it is there, and may not outlive a power cut.

        *before* is given both ahead of the commit: a backup must not come too late.
        """
        header = Header(current.header.lineage, current.header.generation + 1)
        if not payload.slots:
            raise AssertionError("a seal without a slot opens for nobody")
        sealed = seal(header, payload.to_bytes(), payload.slots)
        # Opened with the slots' keys and not with what is in hand: each slot must open it.
        for slot in payload.slots:
            reopened = Payload.from_bytes(unseal(sealed, [slot])[1])
            if reopened != payload:
                raise AssertionError("a sealed payload came back changed")
        with memory.room(self.memory_dir) as scratch:
            self.changer.prove(scratch, payload.token, payload.keyset)
        for hook in before:
            hook(header, payload)
        self.storage.volume.commit(header.generation, sealed)
        new = self.storage.remember(header)
        self.storage.volume.prune(header.generation - keep)
        warnings = dict.fromkeys((*current.warnings, *new))
        return Opened(header, payload, current.protection, tuple(warnings))
