"""The key list: every key that a lineage ever had, and what each may still do."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from appliance.keys import key_id
from appliance.keys.engine import SOFTHSM, Made


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
class Moment:
    """When something happened, by the wall clock and by one that nobody can set: seconds served so far."""

    unix: int = 0
    served: int = 0

    @property
    def date(self) -> str:
        return datetime.fromtimestamp(self.unix, UTC).date().isoformat()


@dataclass(frozen=True)
class Adopted:
    """How a key that another plugin made is known outside: its id, and the one annotation it wants.

    *scheme* is what its ciphertexts are like (appliance/keys/adopted.py).
    """

    key_id: str
    annotation: str
    scheme: str = ""


@dataclass(frozen=True)
class Key:
    """One key encryption key (KEK) in the engine of that name.

    *object_id* is the engine's name of it, and *known_answer* what proves it there; *fingerprint*, drawn once
    at its birth, is what all nodes know it by.
    """

    lineage: str
    version: int
    state: KeyState
    object_id: str
    known_answer: bytes
    fingerprint: str
    since: Moment = Moment()
    adopted: Adopted | None = None
    engine: str = SOFTHSM

    @classmethod
    def born(  # noqa: PLR0913, PLR0917  all that is known of a key meets here
        cls,
        lineage: str,
        version: int,
        state: KeyState,
        made: Made,
        since: Moment = Moment(),
        adopted: Adopted | None = None,
        engine: str = SOFTHSM,
    ) -> "Key":
        print_ = key_id.fingerprint(made.print_source)
        return cls(lineage, version, state, made.object_id, made.known_answer, print_, since, adopted, engine)

    @cached_property
    def id(self) -> str:
        if self.adopted is not None:
            return self.adopted.key_id
        return key_id.compose(self.lineage, self.version, self.fingerprint)

    @property
    def name(self) -> str:
        """What an operator types: v1, v2, ..."""
        return f"v{self.version}"

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "version": self.version,
            "state": self.state.value,
            "engine": self.engine,
            "object_id": self.object_id,
            "known_answer": self.known_answer.hex(),
            "fingerprint": self.fingerprint,
            "since": {"unix": self.since.unix, "served": self.since.served},
        }
        if self.adopted is not None:
            fields["adopted"] = {"key_id": self.adopted.key_id, "annotation": self.adopted.annotation}
            if self.adopted.scheme:
                fields["adopted"]["scheme"] = self.adopted.scheme
        return fields

    @classmethod
    def from_json(cls, lineage: str, data: dict[str, Any]) -> "Key":
        data = dict(data)  # refuses what is no object
        adopted, since = data.get("adopted"), dict(data.get("since", {}))
        return cls(
            lineage,
            data["version"],
            KeyState(data["state"]),
            data["object_id"],
            bytes.fromhex(data["known_answer"]),
            data["fingerprint"],
            Moment(since.get("unix", 0), since.get("served", 0)),
            Adopted(adopted["key_id"], adopted["annotation"], adopted.get("scheme", "")) if adopted else None,
            data["engine"],
        )


@dataclass(frozen=True)
class KeySet:
    """All keys of one lineage, exactly one of them PRIMARY.

    *skipped* are versions whose keys were lost for good: none is ever given to another key.
    """

    lineage: str
    keys: tuple[Key, ...]
    skipped: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError when the list is not one that a lineage can have."""
        if not key_id.LINEAGE.fullmatch(self.lineage):
            raise ValueError("a lineage is 12 hexadecimal digits")
        if any(key.lineage != self.lineage for key in self.keys):
            raise ValueError("a key of another lineage")
        given = [version for version in range(1, self.newest + 1) if version not in self.skipped]
        if [key.version for key in self.keys] != given or list(self.skipped) != sorted(self.skipped):
            raise ValueError("versions must count from 1 without a gap that is not told")
        if len({(key.engine, key.object_id) for key in self.keys}) != len(self.keys):
            raise ValueError("two keys with one object id")
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys with one key id")
        if [key.state for key in self.keys].count(KeyState.PRIMARY) != 1:
            raise ValueError("there must be exactly one primary key")

    @cached_property
    def primary(self) -> Key:
        """Every call asks for it, and there may be a thousand keys."""
        return next(key for key in self.keys if key.state is KeyState.PRIMARY)

    @property
    def hash(self) -> str:
        """A short name for these keys in these states, the same on every node that holds them."""
        text = "\n".join(f"{key.id} {key.state}" for key in self.keys)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{digest[:4]}-{digest[4:8]}"

    @property
    def newest(self) -> int:
        """The highest version that was ever given, as far as this list knows."""
        return len(self.keys) + len(self.skipped)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(key.id for key in self.keys)

    def now(self, key: Key) -> Key:
        """The key of *key*'s version, as it is in this list."""
        return next(each for each in self.keys if each.version == key.version)

    def with_keys(self, *changed: Key) -> "KeySet":
        """The same list with each of *changed* in the place of its version, or behind the last.

        Versions between the last and one behind it are skipped.
        """
        keys = {key.version: key for key in (*self.keys, *changed)}
        given = set(range(self.newest + 1, max(keys) + 1)) - set(keys)
        skipped = tuple(sorted({*self.skipped, *given}))
        return replace(self, keys=tuple(keys[version] for version in sorted(keys)), skipped=skipped)

    def with_found(self, key: Key) -> "KeySet":
        """The same list with *key*, behind the last or of a version skipped while nothing was known of it."""
        if key.version not in self.skipped:
            return self.with_keys(key)
        keys = sorted((*self.keys, key), key=lambda each: each.version)
        return replace(
            self, keys=tuple(keys), skipped=tuple(each for each in self.skipped if each != key.version)
        )

    def without_versions_to(self, last: int) -> "KeySet":
        """The same list where no version up to *last* will ever be given to a new key."""
        return replace(self, skipped=(*self.skipped, *range(self.newest + 1, last + 1)))

    def to_json(self) -> dict[str, Any]:
        skipped = {"skipped": list(self.skipped)} if self.skipped else {}
        return {"lineage": self.lineage, "keys": [key.to_json() for key in self.keys], **skipped}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "KeySet":
        """Raise ValueError, KeyError or TypeError when *data* is not what to_json gave."""
        lineage = data["lineage"]
        keys = tuple(Key.from_json(lineage, key) for key in data["keys"])
        return cls(lineage, keys, tuple(data.get("skipped", ())))
