"""What a seal holds: the key list, what each engine keeps, and the slots' keys, as one plain tar.

    manifest.json         the keys, each with its engine, its state and its known answer
    secrets.json          the slots' wrapping keys
    engines/<name>/…      what the engine of that name keeps; only it knows what that is

A tar, so that with the payload in hand nothing of ours is needed to reach the keys.
"""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import ENGINE_NAME, EngineState
from appliance.keys.keyset import KeySet
from appliance.volume import format1
from appliance.volume.audit import Head
from appliance.volume.known import NewerError, demand_known
from appliance.volume.slot import HeldSlot

_FAMILY = "kleidi.payload/v"
SCHEMA = f"{_FAMILY}2"
_PART = r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,63}"
_ENGINE_FILE = re.compile(rf"engines/({ENGINE_NAME.pattern})/((?:{_PART}/){{0,3}}{_PART})")


@dataclass(frozen=True)
class Loss:
    """Keys that were announced here and were accepted as lost, at *unix* seconds.

    *generation* was seen, and *found* was there in its place.
    """

    unix: int
    generation: int
    found: int
    keys: tuple[str, ...]
    reason: str = ""

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Loss":
        unix, generation, found = (fields[name] for name in ("unix", "generation", "found"))
        return cls(unix, generation, found, tuple(fields["keys"]), fields.get("reason", ""))


@dataclass(frozen=True)
class Payload:
    """*engines* is what each engine keeps, by its name.

    *shared* once the keys were given to another node: from then on no node goes ahead alone.
    *audit* is the head of the node's audit log when this was sealed: what the log must still hold.
    """

    keyset: KeySet
    engines: Mapping[str, EngineState]
    slots: tuple[HeldSlot, ...] = ()
    shared: bool = False
    losses: tuple[Loss, ...] = ()
    audit: Head | None = None

    @property
    def lost(self) -> tuple[str, ...]:
        """The ids of all keys that were accepted as lost and did not come back."""
        gone = dict.fromkeys(key for loss in self.losses for key in loss.keys)
        return tuple(key for key in gone if key not in self.keyset.ids)

    def for_others(self) -> "Payload":
        """Without what belongs to one node's volume: its slots and its log."""
        return replace(self, slots=(), audit=None)

    def state(self, engine: str) -> EngineState:
        """What that *engine* keeps; empty before its first key."""
        return self.engines.get(engine, EngineState())

    def with_state(self, engine: str, state: EngineState) -> "Payload":
        """With *state* kept for that *engine*; nothing is kept of one that keeps nothing."""
        others = {name: kept for name, kept in self.engines.items() if name != engine}
        return replace(self, engines={**others, engine: state} if state else others)

    def to_entries(self) -> dict[str, bytes]:
        """The tar's entries by name."""
        entries = {"manifest.json": _json(self._manifest()), "secrets.json": _json(self._secrets())}
        kept = {
            f"engines/{name}/{file}": data
            for name, state in self.engines.items()
            for file, data in state.files.items()
        }
        return entries | dict(sorted(kept.items()))

    def _manifest(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "keyset": self.keyset.to_json(),
            **({"shared": True} if self.shared else {}),
            **({"losses": [asdict(loss) for loss in self.losses]} if self.losses else {}),
            **({"audit": self.audit.to_json()} if self.audit else {}),
        }

    def _secrets(self) -> dict[str, Any]:
        return {
            "slots": [
                {"kind": slot.kind, "values": dict(slot.values), "wrapping_key": slot.wrapping_key.hex()}
                for slot in self.slots
            ],
        }

    def to_bytes(self) -> bytes:
        return pack(self.to_entries())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Payload":
        """Raise E-SEAL-NEWER when a later version wrote *data*, E-SEAL-CORRUPT when none did."""
        try:
            return cls.from_entries(unpack(data))
        except NewerError as error:
            raise KleidiError(faults.SEAL_NEWER, f"the payload: {error}") from error
        except (KeyError, TypeError, ValueError, tarfile.TarError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"the payload: {error}") from error

    @classmethod
    def from_entries(cls, entries: dict[str, bytes]) -> "Payload":
        """Raise NewerError, KeyError, TypeError or ValueError when they are not to_entries'."""
        entries = format1.upgraded(entries, SCHEMA)
        manifest = json.loads(entries.pop("manifest.json"))
        secrets = json.loads(entries.pop("secrets.json"))
        if (schema := str(manifest["schema"])) != SCHEMA:
            newer = schema.startswith(_FAMILY)
            raise (NewerError if newer else ValueError)(f"{schema}, this version knows {SCHEMA}")
        slots = (
            HeldSlot(slot["kind"], slot["values"], bytes.fromhex(slot["wrapping_key"]))
            for slot in secrets["slots"]
        )
        payload = cls(
            KeySet.from_json(manifest["keyset"]),
            _states(entries),
            tuple(slots),
            shared=manifest.get("shared") is True,
            losses=tuple(map(Loss.from_json, manifest.get("losses", ()))),
            audit=Head.from_json(manifest["audit"]) if "audit" in manifest else None,
        )
        demand_known(manifest, payload._manifest())
        demand_known(secrets, payload._secrets())
        return payload


def _states(entries: Mapping[str, bytes]) -> dict[str, EngineState]:
    """Names come from outside: none may lead out of its engine's own place."""
    files: dict[str, dict[str, bytes]] = {}
    for entry, data in entries.items():
        named = _ENGINE_FILE.fullmatch(entry)
        if named is None:
            raise ValueError(f"a file name that no engine uses: {entry}")
        files.setdefault(named[1], {})[named[2]] = data
    return {name: EngineState(kept) for name, kept in files.items()}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def pack(entries: Mapping[str, bytes]) -> bytes:
    """A plain tar of files that nobody but their owner may read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o400
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """What pack was given. Raise ValueError or TarError when it holds anything but files, each once."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None or entry.name in found:
                raise ValueError(f"an entry that does not belong: {entry.name}")
            found[entry.name] = content.read()
    return found
