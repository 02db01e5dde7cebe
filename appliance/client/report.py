"""How things stand, for people and for programs: `kleidi status`."""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from appliance import faults
from appliance.backup import verified
from appliance.faults import Exit, KleidiError
from appliance.keys.keyset import Key
from appliance.ops.operations import Outcome

SCHEMA = "kleidi.status/v1"
CHANGE_SCHEMA = "kleidi.change/v1"

_PROTECTION = {
    "none": "none (the seal key lies beside the seal: whoever has the volume has the keys)",
    "same-disk": "same-disk (the seal key is on the volume's disk, outside the volume)",
    "other-disk": "other-disk (the seal key is on another filesystem than the volume)",
    "memory": "memory (the seal key is in memory only)",
}
_REFUSED = {
    "missed": "a key of this lineage that is not held",
    "foreign": "a key of another lineage",
    "strange": "a key id that is none of kleidi's",
    "off": "a disabled or destroyed key",
    "tampered": "a ciphertext that fails its authentication",
}
_SHOWN_IDS = 3


@dataclass(frozen=True)
class KeyRow:
    """A key as it is shown. *since* is in Unix seconds; the counts are this node's."""

    name: str
    key_id: str
    state: str
    since: int = 0
    adopted: bool = False
    wrapped: int = 0
    unwrapped: int = 0

    @classmethod
    def of(cls, key: Key) -> "KeyRow":
        return cls(key.name, key.id, key.state, key.since.unix, key.adopted is not None)


@dataclass(frozen=True)
class BackupRow:
    """The backup verified last. *verified* is in Unix seconds; *lacks* names the keys it does not hold."""

    generation: int
    verified: int
    file: str = ""
    lacks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reason:
    """Why not all is well: a fault's id, and its words with the detail."""

    id: str
    reason: str

    @classmethod
    def of(cls, error: KleidiError) -> "Reason":
        return cls(error.fault.id, str(error))


@dataclass(frozen=True)
class RefusedRow:
    """Refused decrypts of one *sort* since the server started; *first* and *last* are in Unix seconds."""

    sort: str
    count: int
    first: int
    last: int
    key_ids: list[str] = field(default_factory=list)

    def to_text(self, now: float) -> str:
        more = ", …" if len(self.key_ids) > _SHOWN_IDS else ""
        named = ", ".join(self.key_ids[:_SHOWN_IDS]) + more
        what = _REFUSED.get(self.sort, self.sort)
        decrypts = "decrypt" if self.count == 1 else "decrypts"
        return f"{self.count:,} {decrypts}, the last {verified.ago(now - self.last)}: {what} ({named})"


@dataclass(frozen=True)
class Changed:
    """What a change did and what holds now."""

    said: tuple[str, ...]
    keyset: str
    generation: int
    key: KeyRow

    @classmethod
    def of(cls, outcome: Outcome) -> "Changed":
        opened = outcome.opened
        return cls(outcome.said, opened.payload.keyset.hash, opened.header.generation, KeyRow.of(outcome.key))

    def to_json(self) -> str:
        return json.dumps({"schema": CHANGE_SCHEMA, **asdict(self)}, indent=2)

    def to_text(self) -> str:
        return "\n".join([*self.said, f"key set {self.keyset}, generation {self.generation}"])


@dataclass(frozen=True)
class LossRow:
    """Keys that were accepted as lost. *generation* was seen here, *found* was there in its place."""

    unix: int
    generation: int
    found: int
    keys: list[str]
    reason: str

    def to_text(self) -> str:
        """`2026-11-25: kleidi/…/v2/…; generation 3 was seen, 1 was found (the disk burnt)`."""
        day = datetime.fromtimestamp(self.unix, UTC).date().isoformat()
        named = ", ".join(self.keys) or "no key that is known"
        return f"{day}: {named}; generation {self.generation} was seen, {self.found} found ({self.reason})"


@dataclass(frozen=True)
class Report:
    """Schema kleidi.status/v1: fields may be added, never changed or taken away."""

    state: str
    reason_id: str = ""
    reason: str = ""
    socket: str = ""
    key_id: str = ""
    lineage: str = ""
    keyset: str = ""
    generation: int = 0
    protection: str = ""
    keys: list[KeyRow] = field(default_factory=list)
    backup: BackupRow | None = None
    reasons: list[Reason] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    losses: list[LossRow] = field(default_factory=list)

    @property
    def exit(self) -> Exit:
        """0 only when all is well; else the reason's own."""
        if not self.reason_id:
            return Exit.OK
        fault = faults.named(self.reason_id)
        return fault.exit if fault else Exit.ERROR

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2)

    def to_text(self) -> str:
        # A server from before an upgrade tells one reason only.
        reasons = self.reasons or [Reason(self.reason_id, self.reason)]
        rows = [
            ("state", self.state),
            *(("reason", each.reason) for each in reasons),
            ("socket", self.socket),
            ("key id", self.key_id),
            ("lineage", self.lineage),
            ("key set", self.keyset),
            ("generation", str(self.generation or "")),
            ("protection", _PROTECTION.get(self.protection, self.protection)),
            ("backup", self._backup() if self.keyset else ""),
            *(("refused", each.to_text(time.time())) for each in self.refused),
            *(("lost", each.to_text()) for each in self.losses),
        ]
        return "\n".join(f"{name:11} {value}" for name, value in rows if value)

    def _backup(self) -> str:
        if self.backup is None:
            return "never verified"
        return verified.text(self.backup.generation, self.backup.verified, self.backup.lacks, time.time())
