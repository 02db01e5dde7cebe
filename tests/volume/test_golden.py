"""A generation that an earlier version sealed is opened, goes on, and keeps its ids, for ever.

The seal key beside it is a throw-away, made for this file and kept in the open: it protects nothing.
"""

import json
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from appliance.volume import format1, memory
from appliance.volume.payload import SCHEMA, Payload, unpack
from appliance.volume.seal import unseal
from appliance.volume.slot import SlotKey
from tests.ops.shop import Shop
from tests.volume.house import House, refused

GOLDEN = Path(__file__).parent / "golden"
TOLD = json.loads((GOLDEN / "envelopes.json").read_text())
SEALED = (GOLDEN / "generation-v1.seal").read_bytes()
KEY = bytes.fromhex((GOLDEN / "TEST-ONLY-seal-key.hex").read_text())


@pytest.fixture
def shop(house: House, engine: SoftHsmEngine) -> Shop:
    """A volume that an earlier version left behind."""
    house.storage().volume.file(TOLD["generation"]).write_bytes(SEALED)
    house.seal_key.write_bytes(KEY)
    house.seal_key.chmod(0o400)
    return Shop(house, engine)


def open_all(shop: Shop) -> None:
    opened = shop.storage.open()
    assert isinstance(shop.engine, SoftHsmEngine)
    with memory.room(shop.house.memory) as room:
        shop.engine.open(room, opened.payload.state(SOFTHSM))
        ring = Keyring(opened.keyset, {SOFTHSM: shop.engine})
        assert not ring.failing(SOFTHSM)
        for each in TOLD["envelopes"]:
            plaintext = ring.unwrap(each["key_id"], bytes.fromhex(each["envelope"]))
            assert plaintext == TOLD["plaintext"].encode()
        # They were made when none allowed a copy.
        older = {each["key_id"] for each in TOLD["envelopes"]}
        copied = {shop.engine.copied(key.object_id) for key in ring.keyset.keys if key.id in older}
        assert copied == {False}
        shop.engine.close()


def test_it_opens_what_it_closed_under_the_ids_that_it_had(shop: Shop) -> None:
    assert shop.keyset.hash == TOLD["keyset"]
    assert shop.keyset.ids == tuple(each["key_id"] for each in TOLD["envelopes"])
    open_all(shop)


def test_it_is_left_as_it_is_until_the_next_change_which_writes_todays_format(shop: Shop) -> None:
    file = shop.storage.volume.file(TOLD["generation"])
    assert file.read_bytes() == SEALED
    shop.run(Verb.ROTATE)
    assert [key.state for key in shop.keyset.keys] == [KeyState.RETIRED, KeyState.RETIRED, KeyState.PRIMARY]
    newest = shop.storage.volume.read(max(shop.generations))
    assert SEALED.startswith(b"kleidi-seal 1\n")
    assert newest.startswith(b"kleidi-seal 2\n")
    open_all(shop)


def old_entries() -> dict[str, bytes]:
    return unpack(unseal(SEALED, [SlotKey("file", KEY)])[1])


@pytest.mark.parametrize("name", ["manifest.json", "secrets.json"])
def test_a_field_that_the_old_format_never_had_is_refused(name: str) -> None:
    entries = old_entries()
    more = json.loads(entries[name]) | {"later": "than this"}
    entries[name] = json.dumps(more).encode()
    with pytest.raises(ValueError, match="'later'"):
        Payload.from_entries(entries)


def test_what_is_todays_passes_as_it_is() -> None:
    entries = format1.upgraded(old_entries(), SCHEMA)
    assert format1.upgraded(entries, SCHEMA) == entries


def test_another_file_in_the_old_format_is_refused() -> None:
    with pytest.raises(ValueError, match="file name"):
        format1.upgraded(old_entries() | {"notes.txt": b""}, SCHEMA)


def test_its_key_opens_nothing_else() -> None:
    assert refused(lambda: unseal(SEALED, [SlotKey("file", bytes(32))])) is faults.SEAL_KEY_WRONG
