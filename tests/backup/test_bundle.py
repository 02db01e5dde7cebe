"""Whole, or refused: what a bundle holds and what becomes of one that is not as it was made."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities, Recipients
from appliance.backup.bundle import SCHEMA, entries, held, make, open_bundle, unpacked
from appliance.faults import Fault
from appliance.keys.keyset import KeySet, KeyState
from appliance.volume.payload import Payload, pack
from appliance.volume.seal import Header
from appliance.volume.slot import SlotKey
from tests.volume.house import LINEAGE, OTHER_LINEAGE, PAYLOAD, refused

HEADER = Header(LINEAGE, 7)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Files = dict[str, bytes]


@pytest.fixture
def bundle(identity: Identities) -> bytes:
    return make(PAYLOAD, HEADER, identity.recipients)


def test_what_comes_out_is_what_went_in(bundle: bytes, identity: Identities) -> None:
    assert open_bundle(bundle, identity) == (HEADER, PAYLOAD)


def test_no_way_to_open_the_volume_is_in_it(identity: Identities) -> None:
    slot = SlotKey("file", b"k" * 32).hold()
    data = make(replace(PAYLOAD, slots=(slot,)), HEADER, identity.recipients)
    found = unpacked(data, identity)
    assert slot.wrapping_key.hex() not in repr(found)
    assert open_bundle(data, identity)[1].slots == ()


def test_it_says_what_it_is(bundle: bytes, identity: Identities) -> None:
    about = json.loads(unpacked(bundle, identity)["bundle.json"])
    assert about["schema"] == SCHEMA == "kleidi.bundle/v2"
    assert (about["lineage"], about["generation"]) == (LINEAGE, 7)
    assert about["keyset"] == PAYLOAD.keyset.hash
    assert [key["key_id"] for key in about["keys"]] == [key.id for key in PAYLOAD.keyset.keys]


def test_its_sums_are_sha256sums(bundle: bytes, identity: Identities) -> None:
    found = unpacked(bundle, identity)
    lines = found.pop("SHA256SUMS").decode().splitlines()
    assert {line[66:]: line[:64] for line in lines} == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }


def test_every_recipient_opens_it_and_nobody_else(identity: Identities, stranger: Identities) -> None:
    both = Recipients((*identity.recipients.names, *stranger.recipients.names))
    data = make(PAYLOAD, HEADER, both)
    assert open_bundle(data, identity) == open_bundle(data, stranger)
    alone = make(PAYLOAD, HEADER, identity.recipients)
    assert refused(lambda: open_bundle(alone, stranger)) is faults.BACKUP_KEY_WRONG


def test_cut_anywhere_it_is_refused(bundle: bytes, identity: Identities) -> None:
    places = {*range(0, 400, 7), *range(400, len(bundle), 997), len(bundle) - 1}
    said = {refused(lambda size=size: open_bundle(bundle[:size], identity)) for size in places}  # type: ignore[misc]
    assert said <= {faults.BACKUP_CORRUPT, faults.BACKUP_KEY_WRONG}


def test_changed_anywhere_it_is_refused(bundle: bytes, identity: Identities) -> None:
    for place in {*range(0, 400, 3), *range(400, len(bundle), 499), len(bundle) - 1}:
        changed = bytearray(bundle)
        changed[place] ^= 1
        fault = refused(lambda data=bytes(changed): open_bundle(data, identity))  # type: ignore[misc]
        assert fault in (faults.BACKUP_CORRUPT, faults.BACKUP_KEY_WRONG, faults.BACKUP_NEWER)


@pytest.mark.parametrize("around", [(b"", b"\n"), (b"\n", b""), (b" ", b""), (b"", b"\0")])
def test_blanks_around_it_are_damage(
    bundle: bytes, identity: Identities, around: tuple[bytes, bytes]
) -> None:
    fault = refused(lambda: open_bundle(around[0] + bundle + around[1], identity))
    assert fault is faults.BACKUP_CORRUPT


@pytest.mark.parametrize("data", [b"", b"\n", b"kleidi-seal 1\n", bytes(4096), b"age-encryption.org/v1\n"])
def test_what_is_no_bundle_at_all_is_refused(data: bytes, identity: Identities) -> None:
    assert refused(lambda: open_bundle(data, identity)) is faults.BACKUP_CORRUPT


def test_another_version_of_age_is_told_apart(bundle: bytes, identity: Identities) -> None:
    newer = bundle.replace(b"/v1\n", b"/v2\n", 1)
    assert refused(lambda: open_bundle(newer, identity)) is faults.BACKUP_NEWER


def _resummed(found: Files) -> Files:
    content = {name: data for name, data in found.items() if name != "SHA256SUMS"}
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(content.items())]
    return {**content, "SHA256SUMS": "".join(lines).encode()}


def _about(**fields: object) -> Callable[[Files], Files]:
    def change(found: Files) -> Files:
        about = json.loads(found["bundle.json"]) | fields
        return _resummed({**found, "bundle.json": json.dumps(about).encode()})

    return change


def _without(name: str) -> Callable[[Files], Files]:
    return lambda found: {each: data for each, data in found.items() if each != name}


def _changed(name: str) -> Callable[[Files], Files]:
    return lambda found: {**found, name: found[name] + b" "}


# Made by whoever may write bundles, so that age has nothing to object.
_FIXTURES: dict[str, tuple[Callable[[Files], Files], Fault]] = {
    "empty": (lambda _: {}, faults.BACKUP_CORRUPT),
    "an entry more": (lambda found: {**found, "more": b""}, faults.BACKUP_CORRUPT),
    "an entry more, with its sum": (
        lambda found: _resummed({**found, "more": b""}),
        faults.BACKUP_CORRUPT,
    ),
    "a way out": (lambda found: _resummed({**found, "engines/../../x": b""}), faults.BACKUP_CORRUPT),
    "no bundle.json": (_without("bundle.json"), faults.BACKUP_CORRUPT),
    "no manifest.json": (_without("manifest.json"), faults.BACKUP_CORRUPT),
    "no secrets.json": (lambda found: _resummed(_without("secrets.json")(found)), faults.BACKUP_CORRUPT),
    "no SHA256SUMS": (_without("SHA256SUMS"), faults.BACKUP_CORRUPT),
    "no token file": (_without("engines/softhsm/a1/b2.object"), faults.BACKUP_CORRUPT),
    "changed bundle.json": (_changed("bundle.json"), faults.BACKUP_CORRUPT),
    "changed manifest.json": (_changed("manifest.json"), faults.BACKUP_CORRUPT),
    "changed SHA256SUMS": (_changed("SHA256SUMS"), faults.BACKUP_CORRUPT),
    "changed token file": (_changed("engines/softhsm/a1/b2.object"), faults.BACKUP_CORRUPT),
    "newer schema": (_about(schema="kleidi.bundle/v3"), faults.BACKUP_NEWER),
    "another schema": (_about(schema="somebody.bundle/v1"), faults.BACKUP_CORRUPT),
    "another lineage": (_about(lineage=OTHER_LINEAGE), faults.BACKUP_CORRUPT),
    "no generation": (_about(generation=0), faults.BACKUP_CORRUPT),
    "generation as text": (_about(generation="7"), faults.BACKUP_CORRUPT),
    "a key that is not there": (_about(keys=[{"key_id": "kleidi/x"}]), faults.BACKUP_INCOMPLETE),
    "another key set": (_about(keyset="0000-0000"), faults.BACKUP_INCOMPLETE),
    "bundle.json is a list": (
        lambda found: _resummed({**found, "bundle.json": b"[]"}),
        faults.BACKUP_CORRUPT,
    ),
    "bundle.json is no JSON": (
        lambda found: _resummed({**found, "bundle.json": b"{"}),
        faults.BACKUP_CORRUPT,
    ),
}


@pytest.mark.parametrize("name", _FIXTURES)
def test_what_was_not_made_here_is_refused(name: str, identity: Identities) -> None:
    change, fault = _FIXTURES[name]
    data = identity.recipients.encrypt(pack(change(entries(PAYLOAD, HEADER, NOW))))
    assert refused(lambda: open_bundle(data, identity)) is fault


def test_what_is_no_tar_is_refused(identity: Identities) -> None:
    data = identity.recipients.encrypt(b"not a tar" * 100)
    assert refused(lambda: open_bundle(data, identity)) is faults.BACKUP_CORRUPT


def test_header_and_keys_of_two_lineages_never_become_one(identity: Identities) -> None:
    header = Header(OTHER_LINEAGE, 1)
    assert refused(lambda: make(PAYLOAD, header, identity.recipients)) is faults.BACKUP_INCOMPLETE


def test_a_destroyed_key_is_not_held() -> None:
    (key,) = PAYLOAD.keyset.keys
    old = replace(key, version=2, object_id="k2", fingerprint="0" * 12, state=KeyState.DESTROYED)
    payload = Payload(KeySet(LINEAGE, (key, old)), PAYLOAD.engines)
    assert held(payload) == (key.id,)


@pytest.mark.parametrize("name", ["", "age1", "age1" + "q" * 58, "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1QQ"])
def test_who_is_no_recipient_is_refused_before_anything_is_made(name: str) -> None:
    assert refused(lambda: Recipients((name,))) is faults.BACKUP_RECIPIENT


def test_a_secret_key_in_the_place_of_a_public_one_is_not_shown(identity: Identities) -> None:
    with pytest.raises(faults.KleidiError) as caught:
        Recipients(identity.secrets)
    assert identity.secrets[0] not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "AGE-SECRET-KEY-1XYZ\n", "hello"])
def test_a_file_without_an_identity_is_refused(text: str) -> None:
    assert refused(lambda: Identities.parse(text)) is faults.BACKUP_IDENTITY


def test_an_identity_file_is_read_as_age_keygen_writes_it(bundle: bytes, identity: Identities) -> None:
    text = f"# created: 2026-11-23\r\n# public key: age1\n\n  {identity.secrets[0]}\r\n"
    assert open_bundle(bundle, Identities.parse(text)) == (HEADER, PAYLOAD)
