"""What is told of bundles, for people and for programs."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from appliance.backup.bundle import held
from appliance.backup.verify import Comparison
from appliance.volume.payload import Payload
from appliance.volume.seal import Header

SCHEMA = "kleidi.backup/v1"


@dataclass(frozen=True)
class Told:
    """Schema kleidi.backup/v1: fields may be added, never changed or taken away."""

    verb: str
    file: str
    lineage: str
    generation: int
    keyset: str
    keys: list[dict[str, str]] = field(default_factory=list)
    verified: int = 0
    live: Comparison | None = None
    stored: dict[str, int] | None = None
    missing: dict[str, int] | None = None
    recorded: bool | None = None
    remarks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dry_run: bool = False

    @classmethod
    def of(cls, verb: str, file: str, header: Header, payload: Payload, **more: Any) -> "Told":  # noqa: ANN401
        keyset = payload.keyset
        keys = [{"name": key.name, "key_id": key.id, "state": str(key.state)} for key in keyset.keys]
        return cls(verb, file, header.lineage, header.generation, keyset.hash, keys, **more)

    @property
    def well(self) -> bool:
        """Whether it could bring back, or did, everything it was held against."""
        return not (self.missing or self.warnings) and (self.live is None or self.live.verdict == "MATCHES")

    def to_json(self) -> str:
        live = {"verdict": self.live.verdict, **asdict(self.live)} if self.live else None
        return json.dumps({"schema": SCHEMA, **asdict(self), "live": live}, indent=2)

    def to_text(self) -> str:
        what = f"{self.verb} {self.file}: lineage {self.lineage}, generation {self.generation}, "
        lines = [("would have " if self.dry_run else "") + what + f"key set {self.keyset}"]
        if self.verified:
            lines.append(f"verified {self.verified} {'key' if self.verified == 1 else 'keys'}")
        if self.live:
            lines.append(self.live.to_text())
        if self.stored is not None and self.missing is not None:
            total, lost = sum(self.stored.values()), sum(self.missing.values())
            lines.append(
                f"opens {total - lost:,} of {total:,} objects stored under keys of a KMS v2 provider"
            )
            lines += [f"  lacks {key_id}: {count:,} objects" for key_id, count in self.missing.items()]
        return "\n".join([*lines, *self.remarks, *self.warnings])


def verified_keys(payload: Payload) -> int:
    return len(held(payload))
