"""The anchor: what was ever seen of a volume, kept outside of it.

Beside the highest generation it has that generation's identity and every key id, for two generations can
have one number: a volume that was rolled back and changed again looks like the one that it was.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from appliance import faults, regular
from appliance.faults import KleidiError
from appliance.keys.key_id import LINEAGE
from appliance.volume import durable
from appliance.volume.known import demand_known

SCHEMA = "kleidi.anchor/v1"
# Some sixty bytes for each key.
_MOST = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Memory:
    """What an anchor remembers.

    *digest* and *keyset* identify the generation: SHA-256 of the sealed file, the key set's hash. *keys* are
    the ids of all keys but those whose loss was accepted; *version* is the highest that a key ever had. An
    anchor that an earlier version wrote has none of the four.
    """

    lineage: Annotated[str, "of all that was seen"]
    generation: Annotated[int, "the highest"]
    digest: Annotated[str, "SHA-256 of its sealed file; empty when not remembered"] = ""
    keyset: Annotated[str, "its key set's hash; empty when not remembered"] = ""
    keys: Annotated[tuple[str, ...], "ids of the keys that must be there"] = ()
    version: Annotated[int, "the highest version that a key ever had; 0 when not remembered"] = 0

    def to_json(self) -> dict[str, Any]:
        fields = {"schema": SCHEMA, "lineage": self.lineage, "generation": self.generation}
        more = {"digest": self.digest, "keyset": self.keyset, "keys": self.keys, "version": self.version}
        return fields | {name: value for name, value in more.items() if value}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Memory":
        """Raise KeyError, TypeError or ValueError for what is no anchor."""
        memory = cls(
            fields["lineage"],
            fields["generation"],
            fields.get("digest", ""),
            fields.get("keyset", ""),
            tuple(fields.get("keys", ())),
            fields.get("version", 0),
        )
        if fields["schema"] != SCHEMA or not LINEAGE.fullmatch(memory.lineage):
            raise ValueError("not an anchor")
        if type(memory.generation) is not int or memory.generation < 1:
            raise ValueError("a generation is a whole number from 1")
        if memory.digest and not _DIGEST.fullmatch(memory.digest):
            raise ValueError("a digest is 64 hexadecimal digits")
        if type(memory.version) is not int or not memory.version >= 0:
            raise ValueError("a version is a whole number")
        if not all(type(each) is str for each in (memory.keyset, *memory.keys)):
            raise ValueError("the key set and its keys are text")
        demand_known(fields, {"schema": SCHEMA, **asdict(memory)})
        return memory

    def grown(self, seen: "Memory", lost: tuple[str, ...]) -> "Memory":
        """Both together: nothing that was remembered is forgotten, but what is accepted as *lost*."""
        # Another generation of the same number is never taken for the one that is remembered.
        same = seen.generation == self.generation and self.keyset in ("", seen.keyset)
        newer = seen if same or seen.generation > self.generation else self
        keys = dict.fromkeys((*self.keys, *seen.keys))
        left = tuple(key for key in keys if key not in lost)
        return replace(newer, keys=left, version=max(self.version, seen.version))


@dataclass(frozen=True)
class Anchor:
    """*path* is None where nothing outside the volume can be written."""

    path: Path | None

    def read(self) -> Memory | None:
        """None when there never was one. Raises E-ANCHOR-UNREADABLE: unreadable is not absent."""
        if self.path is None:
            return None
        try:
            return Memory.from_json(json.loads(regular.read(self.path, _MOST, follow=True)))
        except FileNotFoundError:
            return None
        except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise KleidiError(faults.ANCHOR_UNREADABLE, f"{self.path}: {regular.words(error)}") from error

    def advance(self, seen: Memory, lost: tuple[str, ...] = ()) -> None:
        """Remember *seen* if it is news; an anchor never goes back, nor over to another lineage."""
        known = self.read()
        if known and known.lineage != seen.lineage:
            raise KleidiError(faults.LINEAGE_FOREIGN, f"{known.lineage} is remembered, {seen.lineage} found")
        grown = known.grown(seen, lost) if known else seen
        if self.path is None or grown == known:
            return
        with durable.translated_as(faults.ANCHOR_UNWRITABLE):
            durable.write(self.path, json.dumps(grown.to_json(), indent=1).encode() + b"\n", 0o644)
