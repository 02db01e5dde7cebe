"""The anchor: the lineage and the highest generation ever seen, kept outside the volume."""

import json
from dataclasses import dataclass
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.key_id import LINEAGE
from appliance.volume import durable

SCHEMA = "kleidi.anchor/v1"


@dataclass(frozen=True)
class Memory:
    """What an anchor remembers."""

    lineage: str
    generation: int


@dataclass(frozen=True)
class Anchor:
    """*path* is None where nothing outside the volume can be written."""

    path: Path | None

    def read(self) -> Memory | None:
        """None when there never was one. Raises E-ANCHOR-UNREADABLE: unreadable is not absent."""
        if self.path is None:
            return None
        try:
            fields = json.loads(self.path.read_bytes())
            memory = Memory(fields["lineage"], fields["generation"])
            if fields["schema"] != SCHEMA or not LINEAGE.fullmatch(memory.lineage):
                raise ValueError("not an anchor")
            if type(memory.generation) is not int or memory.generation < 1:
                raise ValueError("a generation is a whole number from 1")
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise KleidiError(faults.ANCHOR_UNREADABLE, f"{self.path}: {error}") from error
        return memory

    def advance(self, seen: Memory) -> None:
        """Remember *seen* if it is news; an anchor never goes back, nor over to another lineage."""
        known = self.read()
        if known and known.lineage != seen.lineage:
            raise KleidiError(faults.LINEAGE_FOREIGN, f"{known.lineage} is remembered, {seen.lineage} found")
        if self.path is None or (known and known.generation >= seen.generation):
            return
        fields = {"schema": SCHEMA, "lineage": seen.lineage, "generation": seen.generation}
        with durable.translated(faults.ANCHOR_UNWRITABLE, faults.ANCHOR_UNWRITABLE, faults.ANCHOR_UNWRITABLE):
            durable.write(self.path, json.dumps(fields, indent=1).encode() + b"\n", 0o644)
