"""Building what the next generation is to hold: in memory, away from the open token."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.volume import memory
from appliance.volume.commit import Prover
from appliance.volume.opening import Storage
from appliance.volume.payload import AdoptedToken, FoundToken, TokenImage


class TokenChanger(Prover, Protocol):
    """What changes need of an engine: all of it in processes of their own, away from the open token.

    Raises E-TRIAL-FAILED when the token does not take it, E-MODULE-… and E-MEMORY-….
    """

    def extend(self, scratch: Path, image: TokenImage, object_id: str) -> tuple[TokenImage, bytes]:
        """*image* with one more key, and that key's known answer."""
        ...

    def reduce(self, scratch: Path, image: TokenImage, object_id: str) -> TokenImage:
        """*image* without a key."""
        ...

    def adopt(self, scratch: Path, image: TokenImage, found: FoundToken) -> AdoptedToken:
        """Raises E-TOKEN-NOT-ADOPTED, E-KEY-ADOPTED-ALREADY."""
        ...


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

    def adopt(self, image: TokenImage, found: FoundToken) -> AdoptedToken:
        with memory.room(self.memory_dir) as scratch:
            return self.changer.adopt(scratch, image, found)
