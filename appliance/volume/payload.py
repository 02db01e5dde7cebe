"""What a seal holds: the key list, the token's files and its PINs, as one plain tar.

A tar, so that with the payload in hand nothing of ours is needed to reach the keys.
"""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.keyset import KeySet
from appliance.volume.audit import Head
from appliance.volume.known import NewerError, demand_known
from appliance.volume.slot import HeldSlot

_FAMILY = "kleidi.payload/v"
SCHEMA = f"{_FAMILY}1"
# SoftHSM's own names: a directory of the token's, flat files in it.
_TOKEN_FILE = re.compile(r"tokens/[0-9A-Za-z-]{1,64}/[0-9A-Za-z-][0-9A-Za-z.-]{0,63}")


@dataclass(frozen=True)
class TokenImage:
    """A token at rest: its files by relative name, its serial, and the PIN that opens it.

    Beside it lie the tokens that were adopted, each by its serial with the PIN it came with.
    """

    serial: str
    files: Mapping[str, bytes] = field(repr=False)
    user_pin: str = field(repr=False)
    adopted_pins: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class FoundToken:
    """Another plugin's token, as an operator brought it."""

    files: Mapping[str, bytes] = field(repr=False)
    pin: str = field(repr=False)
    token_label: str
    key_label: str

    def __post_init__(self) -> None:
        """Names come from outside: nothing may be laid out beside where it belongs."""
        if not self.pin:
            raise KleidiError(faults.TOKEN_NOT_ADOPTED, "there is no PIN")
        for name in self.files:
            if not _TOKEN_FILE.fullmatch(f"tokens/{name}"):
                raise KleidiError(faults.TOKEN_NOT_ADOPTED, f"{name} is not how SoftHSM names its files")


@dataclass(frozen=True)
class AdoptedToken:
    """*image* has a found token beside it; its key has the engine's name *object_id* and that known answer.

    *private* is whether the found token kept it encrypted.
    """

    image: TokenImage
    object_id: str
    known_answer: bytes
    private: bool


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
    """*shared* once the keys were given to another node: from then on no node goes ahead alone.

    *audit* is the head of the node's audit log when this was sealed: what the log must still hold.
    """

    keyset: KeySet
    token: TokenImage
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

    def to_entries(self) -> dict[str, bytes]:
        """The tar's entries by name."""
        entries = {"manifest.json": _json(self._manifest()), "secrets.json": _json(self._pins())}
        return entries | {f"tokens/{name}": self.token.files[name] for name in sorted(self.token.files)}

    def _manifest(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "keyset": self.keyset.to_json(),
            "token": {"serial": self.token.serial},
            **({"shared": True} if self.shared else {}),
            **({"losses": [asdict(loss) for loss in self.losses]} if self.losses else {}),
            **({"audit": self.audit.to_json()} if self.audit else {}),
        }

    def _pins(self) -> dict[str, Any]:
        return {
            "user_pin": self.token.user_pin,
            "so_pin": "",  # forgotten at the token's birth: nobody needs it, but older readers want the field
            "adopted": dict(self.token.adopted_pins),
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
        entries = dict(entries)
        manifest = json.loads(entries.pop("manifest.json"))
        pins = json.loads(entries.pop("secrets.json"))
        if (schema := str(manifest["schema"])) != SCHEMA:
            newer = schema.startswith(_FAMILY)
            raise (NewerError if newer else ValueError)(f"{schema}, this version knows {SCHEMA}")
        if not all(_TOKEN_FILE.fullmatch(name) for name in entries):
            raise ValueError("a file name that SoftHSM does not use")
        files = {name.removeprefix("tokens/"): content for name, content in entries.items()}
        token = TokenImage(manifest["token"]["serial"], files, pins["user_pin"], pins["adopted"])
        slots = (
            HeldSlot(slot["kind"], slot["values"], bytes.fromhex(slot["wrapping_key"]))
            for slot in pins["slots"]
        )
        payload = cls(
            KeySet.from_json(manifest["keyset"]),
            token,
            tuple(slots),
            shared=manifest.get("shared") is True,
            losses=tuple(map(Loss.from_json, manifest.get("losses", ()))),
            audit=Head.from_json(manifest["audit"]) if "audit" in manifest else None,
        )
        demand_known(manifest, payload._manifest())
        demand_known(pins, payload._pins())
        return payload


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
