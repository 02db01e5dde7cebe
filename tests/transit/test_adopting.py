"""What the original kleidi's Vault provider wrote is read by the key that it used; nothing is written so."""

import base64
from pathlib import Path

import pytest

from appliance import faults
from appliance.keys.engines import Engines
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Command, Outcome, Verb
from tests.fakes import FakeEngine
from tests.ops.shop import Shop
from tests.transit.conftest import Site
from tests.volume.conftest import memory_dir
from tests.volume.house import House, refused

__all__ = ["memory_dir"]

SEED = b"thirty-two bytes of a seed, here"
THEIRS = "kleidi-kms-plugin_1_1700000000"
ANNOTATIONS = {"v2.kleidi.beezy.dev": b"1"}


@pytest.fixture
def shop(tmp_path: Path, memory_dir: Path, site: Site) -> Shop:
    house = House(tmp_path / "node", memory_dir).build()
    engine = FakeEngine()
    return Shop(house, engine, Engines.of(softhsm=engine, transit=site.engine))


def written(site: Site) -> bytes:
    """As that provider asks for it: with nothing to bind to."""
    asked = {"plaintext": base64.b64encode(SEED).decode()}
    said = site.server.api("POST", f"transit/encrypt/{site.key}", asked)
    return str(said["data"]["ciphertext"]).encode()


def take_over(shop: Shop, site: Site, theirs: str = THEIRS, *, dry_run: bool = False) -> Outcome:
    with shop.storage.volume.lock():
        command = Command(Verb.ADOPT, by="0:1", dry_run=dry_run)
        return shop.operations.take_over(
            shop.storage.open(), "transit", f"transit/{site.key}", theirs, command
        )


def test_it_opens_what_was_written_and_encrypts_nothing(shop: Shop, site: Site, tmp_path: Path) -> None:
    text = written(site)
    key = take_over(shop, site).key
    assert (key.id, key.state, key.engine) == (THEIRS, KeyState.RETIRED, "transit")
    site.engine.open(tmp_path, shop.storage.open().payload.state("transit"))
    ring = Keyring(shop.keyset, shop.operations.workshop.engines)
    assert not ring.failing("transit")
    assert ring.unwrap(THEIRS, text, ANNOTATIONS) == SEED
    assert refused(lambda: ring.unwrap(THEIRS, text, {})) is faults.ANNOTATIONS_FOREIGN
    changed = bytearray(text)
    changed[-8] ^= 1
    assert refused(lambda: ring.unwrap(THEIRS, bytes(changed), ANNOTATIONS)) in (
        faults.CIPHERTEXT_TAMPERED,
        faults.ENVELOPE_INVALID,
    )


def test_it_is_taken_over_once_and_only_by_a_name_that_there_is(shop: Shop, site: Site) -> None:
    before = shop.house.snapshot()
    assert take_over(shop, site, dry_run=True).opened.keyset == shop.keyset
    assert refused(lambda: take_over(shop, site, "kleidi-kms-plugin")) is faults.TOKEN_NOT_ADOPTED
    assert refused(lambda: take_over(shop, site, "kleidi-kms-plugin_2_1")) is faults.TRANSIT_KEY_OFF
    assert shop.house.snapshot() == before
    take_over(shop, site)
    assert refused(lambda: take_over(shop, site)) is faults.KEY_ADOPTED_ALREADY
    assert refused(lambda: take_over(shop, site, "kleidi-kms-plugin_1_1")) is faults.KEY_ADOPTED_ALREADY
