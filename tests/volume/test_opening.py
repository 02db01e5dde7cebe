"""The newest generation is opened, or it is said why not; never an older one, never another's."""

import json
import secrets

import pytest

from appliance import faults
from appliance.volume.anchor import Anchor, Memory
from appliance.volume.custody import Custody
from appliance.volume.generations import Volume
from appliance.volume.opening import Storage
from appliance.volume.seal import Header, seal
from tests.volume.house import LINEAGE, OTHER_LINEAGE, PAYLOAD, House, refused


@pytest.fixture(autouse=True)
def _a_seal_key(house: House) -> None:
    house.storage().custody.create()


def test_opens_the_newest_of_several(house: House) -> None:
    for number in (1, 2, 5):
        house.put(number)
    opened = house.storage().open()
    assert opened.header.generation == 5
    assert opened.payload == PAYLOAD
    assert opened.warnings == ()
    assert opened.protection in ("same-disk", "memory")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "removed key"])
def test_never_falls_back_to_an_older_generation(house: House, damage: str) -> None:
    house.put(1)
    sealed = house.put(2)
    newest = house.volume / "generation-00000002.seal"
    if damage == "flipped":
        newest.write_bytes(sealed[:300] + bytes([sealed[300] ^ 1]) + sealed[301:])
    elif damage == "truncated":
        newest.write_bytes(sealed[:-40])
    elif damage == "empty":
        newest.write_bytes(b"")
    else:
        newest.write_bytes(seal(Header(LINEAGE, 2), PAYLOAD.to_bytes(), []))
    wanted = faults.SEAL_KEY_WRONG if damage == "removed key" else faults.SEAL_CORRUPT
    assert refused(house.storage().open) is wanted


@pytest.mark.parametrize("header", [Header(LINEAGE, 1), Header(LINEAGE, 3), Header(OTHER_LINEAGE, 2)])
def test_name_header_and_payload_must_agree(house: House, header: Header) -> None:
    house.put(2, header)
    assert refused(house.storage().open) is faults.SEAL_CORRUPT


def test_a_generation_under_a_higher_number_is_no_newer_one(house: House) -> None:
    house.put(1)
    (house.volume / "generation-00000009.seal").write_bytes(house.generation.read_bytes())
    assert refused(house.storage().open) is faults.SEAL_CORRUPT


def test_another_key_is_wrong_and_a_missing_one_missing(house: House) -> None:
    house.put(1)
    house.seal_key.unlink()
    assert refused(house.storage().open) is faults.SEAL_KEY_MISSING
    house.seal_key.write_bytes(secrets.token_bytes(32))
    assert refused(house.storage().open) is faults.SEAL_KEY_WRONG
    house.seal_key.unlink()
    house.seal_key.write_bytes(b"")
    assert refused(house.storage().open) is faults.SEAL_KEY_INVALID


def test_a_newer_format_asks_for_an_upgrade(house: House) -> None:
    sealed = house.put(1)
    house.generation.write_bytes(sealed.replace(b"seal 2", b"seal 3", 1))
    assert refused(house.storage().open) is faults.SEAL_NEWER


@pytest.mark.parametrize("state", ["missing", "unreadable", "foreign", "empty"])
def test_what_is_not_sealed_is_refused_by_its_own_name(house: House, state: str) -> None:
    if state in ("missing", "unreadable"):
        house.volume.rmdir()
    if state == "unreadable":
        house.volume.touch()
    if state == "foreign":
        (house.volume / "tokens").mkdir()
    assert refused(house.storage().open).id == f"E-VOLUME-{state.upper()}"


def test_another_lineage_than_the_one_remembered_is_foreign(house: House) -> None:
    house.put(1)
    Anchor(house.anchor).advance(Memory(OTHER_LINEAGE, 1))
    assert refused(house.storage().open) is faults.LINEAGE_FOREIGN


def test_another_lineage_than_the_one_expected_is_foreign(house: House) -> None:
    house.put(1)
    assert refused(house.storage(expected=OTHER_LINEAGE).open) is faults.LINEAGE_FOREIGN
    assert house.storage(expected=LINEAGE).open().warnings == ()


def test_an_older_volume_than_the_one_remembered_warns(house: House) -> None:
    house.put(1)
    Anchor(house.anchor).advance(Memory(LINEAGE, 2))
    assert house.storage().open().warnings == (faults.ROLLED_BACK,)


def test_a_damaged_anchor_warns(house: House) -> None:
    house.put(1)
    house.anchor.write_text("damaged")
    assert house.storage().open().warnings == (faults.ANCHOR_UNREADABLE,)


def test_what_was_opened_is_remembered_in_two_places(house: House) -> None:
    house.put(3)
    storage = house.storage()
    opened = storage.open()
    assert not storage.remembers(opened)
    assert storage.remember(opened) == ()
    assert storage.remembers(opened)
    known = Anchor(house.anchor).read()
    assert known == opened.memory
    assert known == Memory(LINEAGE, 3, opened.digest, opened.keyset.hash, opened.keyset.ids, 1)
    assert storage.custody.used()


def test_an_anchor_that_cannot_be_written_does_not_keep_the_mark_from_it(house: House) -> None:
    house.put(1)
    anchor = Anchor(house.root / "missing" / "anchor.json")
    storage = Storage(Volume(house.volume), Custody("file", house.seal_key), anchor)
    assert storage.remember(storage.open()) == (faults.ANCHOR_UNWRITABLE,)
    assert storage.custody.used()


def test_a_mark_that_cannot_be_written_does_not_keep_the_anchor_from_it(house: House) -> None:
    house.put(1)
    storage = house.storage()
    opened = storage.open()
    lost = Storage(storage.volume, Custody("file", house.root / "missing" / "seal.key"), storage.anchor)
    assert lost.remember(opened) == (faults.ANCHOR_UNWRITABLE,)
    assert json.loads(house.anchor.read_text())["lineage"] == LINEAGE


def test_a_sweep_removes_leftovers_of_ours_and_nothing_else(house: House) -> None:
    house.put(1)
    for path in (
        house.volume / ".tmp-generation-00000002.seal-0a",
        house.etc / ".tmp-seal.key-0b",
        house.etc / ".tmp-anchor.json-0c",
        house.etc / ".tmp-seal.key.used-0d",
        house.etc / ".tmp-of-somebody-else",
        house.etc / "notes.txt",
    ):
        path.touch()
    storage = house.storage()
    assert storage.leftovers()
    storage.sweep()
    assert not storage.leftovers()
    assert sorted(path.name for path in house.etc.iterdir()) == [
        ".tmp-of-somebody-else",
        "notes.txt",
        "seal.key",
    ]
    assert [path.name for path in house.volume.iterdir()] == ["generation-00000001.seal"]
