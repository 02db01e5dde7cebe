"""A bundle: one age file over a plain tar, with everything in it that is needed to reach the keys.

    bundle.json     what it is: lineage, generation, key set
    manifest.json   the keys, each with its engine, its state and its known answer
    secrets.json    no slot of the volume it came from
    engines/…       what each engine keeps: of SoftHSM the token's files and its PINs
    SHA256SUMS      of all of them, as sha256sum -c takes it

age says that nobody without the key changed or cut it; the sums say so once more to
whoever has unpacked it by hand.
"""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appliance import faults
from appliance.age.key_pairs import Opener, Sealer
from appliance.faults import KleidiError
from appliance.keys.keyset import Key, KeyState
from appliance.volume.known import NewerError
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload, pack, unpack
from appliance.volume.seal import Header

SCHEMA = "kleidi.bundle/v2"
_READ = ("kleidi.bundle/v1", SCHEMA)
MAX_SIZE = 8 << 20  # a token of a thousand keys has a megabyte
_ABOUT = "bundle.json"
_SUMS = "SHA256SUMS"
_FAMILY = SCHEMA.rpartition("/")[0] + "/"


def make(payload: Payload, header: Header, seal_for: Sealer, created: datetime | None = None) -> bytes:
    """The whole of *payload* for *seal_for*, but for the slots: those belong to one node's volume."""
    if header.lineage != payload.keyset.lineage:
        raise KleidiError(faults.BACKUP_INCOMPLETE, "its header and its keys are of different lineages")
    return seal_for.encrypt(pack(entries(payload, header, created or datetime.now(UTC))))


def open_bundle(data: bytes, opener: Opener) -> tuple[Header, Payload]:
    """What is given is whole; whether its keys work, only a token can tell. Raises E-BACKUP-…."""
    return read(unpacked(data, opener))


def unpacked(data: bytes, opener: Opener) -> dict[str, bytes]:
    """The tar's entries, not looked at but for their being files."""
    content = opener.decrypt(data)
    try:
        return unpack(content)
    except (ValueError, tarfile.TarError) as error:
        raise KleidiError(faults.BACKUP_CORRUPT, f"no plain tar: {error}") from error


def hand_out(  # noqa: PLR0913  what is given to whom, and what is written down of it
    opened: Opened, seal_for: Sealer, storage: Storage, by: str, reason: str, *, dry_run: bool
) -> bytes:
    """All keys of an open volume for *seal_for*; written down before anybody has them."""
    data = make(opened.payload, opened.header, seal_for)
    if len(data) > MAX_SIZE:
        raise KleidiError(faults.BACKUP_FAILED, f"{len(data)} bytes, a bundle has {MAX_SIZE} at most")
    if dry_run:
        return b""
    recipients = list(getattr(seal_for, "names", ()))
    storage.note(opened, "backup", by, recipients=recipients, reason=reason)
    return data


def entries(payload: Payload, header: Header, created: datetime) -> dict[str, bytes]:
    keyset = payload.keyset
    about = {
        "schema": SCHEMA,
        "lineage": header.lineage,
        "generation": header.generation,
        "keyset": keyset.hash,
        "keys": [{"name": key.name, "key_id": key.id, "state": key.state} for key in keyset.keys],
        "created": created.isoformat(timespec="seconds"),
    }
    content = payload.for_others().to_entries()
    found = {_ABOUT: json.dumps(about, indent=1).encode() + b"\n", **content}
    return {**found, _SUMS: _sums(found)}


def read(found: Mapping[str, bytes]) -> tuple[Header, Payload]:
    """Header and payload of a bundle's *found* entries, each of which must belong and be whole."""
    try:
        about = json.loads(found[_ABOUT])
        schema = str(about["schema"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise KleidiError(faults.BACKUP_CORRUPT, f"{_ABOUT}: {error}") from error
    # Before anything else: only a version that knows it can say whether the rest is as it should be.
    if schema not in _READ and schema.startswith(_FAMILY):
        raise KleidiError(faults.BACKUP_NEWER, f"{schema}, this version knows {SCHEMA}")
    content = {name: data for name, data in found.items() if name != _SUMS}
    if schema not in _READ or found.get(_SUMS) != _sums(content):
        raise KleidiError(faults.BACKUP_CORRUPT, f"{_SUMS} does not fit its files")
    try:
        payload = Payload.from_entries({name: data for name, data in content.items() if name != _ABOUT})
    except NewerError as error:
        raise KleidiError(faults.BACKUP_NEWER, f"the payload: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise KleidiError(faults.BACKUP_CORRUPT, f"the payload: {error}") from error
    return _agreed(about, payload), payload


def _agreed(about: dict[str, Any], payload: Payload) -> Header:
    """What bundle.json says must be what the payload holds."""
    keyset = payload.keyset
    listed = [key.get("key_id") for key in about.get("keys", ()) if isinstance(key, dict)]
    generation = about.get("generation")
    if about.get("keyset") != keyset.hash or listed != [key.id for key in keyset.keys]:
        raise KleidiError(faults.BACKUP_INCOMPLETE, "its list of keys is not the one it was made from")
    if about.get("lineage") != keyset.lineage or type(generation) is not int or generation < 1:
        raise KleidiError(faults.BACKUP_CORRUPT, f"{_ABOUT}: lineage or generation")
    return Header(keyset.lineage, generation)


def alive(payload: Payload) -> tuple[Key, ...]:
    """The keys that it can still decrypt with: of a destroyed one only the tombstone is left."""
    return tuple(key for key in payload.keyset.keys if key.state is not KeyState.DESTROYED)


def held(payload: Payload) -> tuple[str, ...]:
    """The ids of those that are alive."""
    return tuple(key.id for key in alive(payload))


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return "".join(lines).encode()
