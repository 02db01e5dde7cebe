"""The key list: every key that a lineage ever had, and what each may still do."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from appliance.keys import key_id


class KeyState(StrEnum):
    """STAGED -> PRIMARY -> RETIRED -> DISABLED -> DESTROYED."""

    STAGED = "staged"  # known here, announced nowhere: another node may already encrypt with it
    PRIMARY = "primary"
    RETIRED = "retired"
    DISABLED = "disabled"
    DESTROYED = "destroyed"

    @property
    def decrypts(self) -> bool:
        return self in (KeyState.STAGED, KeyState.PRIMARY, KeyState.RETIRED)


@dataclass(frozen=True)
class Key:
    """One key encryption key (KEK). *object_id* is the engine's name of it; *known_answer* proves it."""

    lineage: str
    version: int
    state: KeyState
    object_id: str
    known_answer: bytes

    @cached_property
    def id(self) -> str:
        return key_id.compose(self.lineage, self.version, key_id.fingerprint(self.known_answer))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "state": self.state.value,
            "object_id": self.object_id,
            "known_answer": self.known_answer.hex(),
        }


@dataclass(frozen=True)
class KeySet:
    """All keys of one lineage, exactly one of them PRIMARY."""

    lineage: str
    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        """Raise ValueError when the list is not one that a lineage can have."""
        if not key_id.LINEAGE.fullmatch(self.lineage):
            raise ValueError("a lineage is 12 hexadecimal digits")
        if any(key.lineage != self.lineage for key in self.keys):
            raise ValueError("a key of another lineage")
        if [key.version for key in self.keys] != list(range(1, len(self.keys) + 1)):
            raise ValueError("versions must count from 1 without a gap")
        if len({key.object_id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys with one object id")
        if [key.state for key in self.keys].count(KeyState.PRIMARY) != 1:
            raise ValueError("there must be exactly one primary key")

    @property
    def primary(self) -> Key:
        return next(key for key in self.keys if key.state is KeyState.PRIMARY)

    @property
    def hash(self) -> str:
        """A short name for these keys in these states, the same on every node that holds them."""
        text = "\n".join(f"{key.id} {key.state}" for key in self.keys)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{digest[:4]}-{digest[4:8]}"

    def to_json(self) -> dict[str, Any]:
        return {"lineage": self.lineage, "keys": [key.to_json() for key in self.keys]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "KeySet":
        """Raise ValueError, KeyError or TypeError when *data* is not what to_json gave."""
        lineage = data["lineage"]
        return cls(
            lineage,
            tuple(
                Key(
                    lineage,
                    key["version"],
                    KeyState(key["state"]),
                    key["object_id"],
                    bytes.fromhex(key["known_answer"]),
                )
                for key in data["keys"]
            ),
        )
