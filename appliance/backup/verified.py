"""The last backup that was verified here: beside the ledger, for `kleidi status` and for promotion."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance import regular
from appliance.backup.bundle import held
from appliance.keys.keyset import KeySet, KeyState
from appliance.volume import durable
from appliance.volume.payload import Payload
from appliance.volume.seal import Header

SCHEMA = "kleidi.verified/v1"
_MAX_SIZE = 16 << 20  # bytes, some hundred for each key


@dataclass(frozen=True)
class Verified:
    """A bundle that was opened and whose every key was proved. *unix* is when."""

    lineage: str
    generation: int
    keyset: str
    key_ids: tuple[str, ...]
    unix: int
    file: str

    @classmethod
    def of(cls, header: Header, payload: Payload, file: str) -> "Verified":
        return cls(
            header.lineage, header.generation, payload.keyset.hash, held(payload), int(time.time()), file
        )

    def lacks(self, keyset: KeySet) -> tuple[str, ...]:
        """Names of the keys that could not be had back from it."""
        wanted = [key for key in keyset.keys if key.state is not KeyState.DESTROYED]
        return tuple(key.name for key in wanted if key.id not in self.key_ids)


@dataclass(frozen=True)
class Record:
    """*path* is None where there is no volume to write on."""

    path: Path | None = None

    def read(self) -> Verified | None:
        """None when nothing was ever verified; unreadable counts as that, the safe way to be wrong."""
        try:
            fields = json.loads(regular.read(self.path, _MAX_SIZE)) if self.path else {}
            if fields.pop("schema", "") != SCHEMA:
                return None
            verified = Verified(**{**fields, "key_ids": tuple(map(str, fields["key_ids"]))})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        whole = isinstance(verified.generation, int) and isinstance(verified.unix, int)
        return verified if whole else None

    def covers(self, keyset: KeySet) -> bool | None:
        """Whether the bundle verified last holds every key; None when there was none of this lineage."""
        verified = self.of(keyset)
        return None if verified is None else not verified.lacks(keyset)

    def of(self, keyset: KeySet) -> Verified | None:
        verified = self.read()
        return verified if verified and verified.lineage == keyset.lineage else None

    def write(self, verified: Verified) -> bool:
        """Keep it, unless a newer one was verified before. Raises OSError."""
        known = self.read()
        if self.path is None:
            return False
        if known and known.lineage == verified.lineage and known.generation > verified.generation:
            return False
        fields = {"schema": SCHEMA, **asdict(verified)}
        durable.write(self.path, json.dumps(fields, indent=1).encode() + b"\n", 0o600)
        return True


@dataclass(frozen=True)
class Coverage:
    """A record held against the keys that there are now."""

    generation: int
    unix: int
    file: str
    lacks: tuple[str, ...]

    @classmethod
    def of(cls, record: Record, keyset: KeySet) -> "Coverage | None":
        verified = record.of(keyset)
        if verified is None:
            return None
        return cls(verified.generation, verified.unix, verified.file, verified.lacks(keyset))


def text(generation: int, unix: int, lacks: Iterable[str], now: float) -> str:
    """`g7 verified 3d ago, covers all keys`."""
    missing = ", ".join(lacks)
    return f"g{generation} verified {ago(now - unix)}, {f'lacks {missing}' if missing else 'covers all keys'}"


def ago(seconds: float) -> str:
    """`3d ago`, in the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return "just now"
