"""A bundle of keys that lie elsewhere says what it needs, and what could not be tried."""

from pathlib import Path

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.backup.bundle import make
from appliance.backup.report import Examined
from appliance.backup.verify import Examination, examine
from appliance.keys.engines import Engines
from appliance.ops.operations import Verb
from tests.fakes import FakeEngine, FakeRemote
from tests.ops.shop import Shop
from tests.volume.house import House, refused


@pytest.fixture
def remote() -> FakeRemote:
    return FakeRemote()


@pytest.fixture
def engines(remote: FakeRemote) -> Engines:
    return Engines.of(softhsm=FakeEngine(), transit=remote)


@pytest.fixture
def bundle(house: House, engines: Engines, identity: Identities) -> bytes:
    """Of one key that lies in it, and one that does not."""
    shop = Shop(house, FakeEngine(), engines)
    shop.run(Verb.STAGE, engine="transit")
    opened = shop.storage.open()
    return make(opened.payload, opened.header, identity.recipients)


@pytest.fixture
def identity() -> Identities:
    return Identities.generate()


def examined(bundle: bytes, identity: Identities, engines: Engines, memory: Path) -> Examination:
    return examine(bundle, identity, engines, memory)


def text(found: Examination) -> tuple[bool, str]:
    told = Examined.of("b.age", found, recorded=True)
    return told.well, told.to_text()


def test_it_names_what_it_needs(
    bundle: bytes, identity: Identities, engines: Engines, house: House, remote: FakeRemote
) -> None:
    well, said = text(examined(bundle, identity, engines, house.memory))
    assert well
    assert "verified 2 keys" in said
    assert f"opens nothing without the fake's keys {next(iter(remote.keys))}" in said


def test_what_could_not_be_asked_is_not_called_verified(
    bundle: bytes, identity: Identities, engines: Engines, house: House, remote: FakeRemote
) -> None:
    remote.leave(faults.ENGINE_SLOW)
    well, said = text(examined(bundle, identity, engines, house.memory))
    assert not well
    assert "verified 1 key\n" in said
    assert f"not verified: the keys of transit ({faults.ENGINE_SLOW.id}" in said


def test_a_key_that_is_another_one_there_makes_it_incomplete(
    bundle: bytes, identity: Identities, engines: Engines, house: House, remote: FakeRemote
) -> None:
    remote.exchange(next(iter(remote.keys)))
    fault = refused(lambda: examined(bundle, identity, engines, house.memory))
    assert fault is faults.BACKUP_INCOMPLETE
