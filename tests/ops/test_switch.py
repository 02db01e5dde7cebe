"""A switch with the real token: what is got ready while calls go on, and what goes on behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import SOFTHSM, LostError
from appliance.keys.engines import Engines
from appliance.keys.key_id import PROBE_AAD, PROBE_PLAINTEXT
from appliance.keys.keyset import Key
from appliance.ops.operations import Command, Verb
from appliance.service.opened import OpenToken
from appliance.volume import memory
from tests.ops.shop import SEED, WAIT_SECONDS, Shop


class Served:
    """What a server has open; a change of it is prepared, and switched to, when a test says so."""

    def __init__(self, shop: Shop) -> None:
        assert isinstance(shop.engine, SoftHsmEngine)
        self.shop, self.engine = shop, shop.engine
        self.token = OpenToken(shop.storage, Engines.of(softhsm=shop.engine), shop.house.memory, lambda: None)
        self.token.open()

    def change(self, verb: Verb, key: str = "", **options: object) -> None:
        """Commit it, and get ready for it."""
        command = Command(verb, key, **{"by": "0:1", **options})  # type: ignore[arg-type]
        self.shop.operations.run(self.token.opened, command)
        opened = self.token.ahead()
        assert opened
        self.token.prepare(opened)
        self.ahead = opened

    def switch(self) -> None:
        assert self.token.switch(self.ahead).reason is None
        self.token.tidy()

    @property
    def primary(self) -> Key:
        return self.token.keyring.keyset.primary

    @property
    def places(self) -> int:
        return len([*self.shop.house.memory.glob(f"*/{SOFTHSM}-*")])


@pytest.fixture
def served(real_shop: Shop) -> Iterator[Served]:
    served = Served(real_shop)
    yield served
    served.token.leave()


def test_calls_go_on_while_the_next_generation_is_got_ready(served: Served) -> None:
    first, ring = served.primary, served.token.keyring
    old = ring.wrap(SEED)
    served.change(Verb.ROTATE)
    assert ring.unwrap(old.key_id, old.envelope) == SEED
    assert ring.wrap(SEED).key_id == first.id
    assert served.places == 2
    served.switch()
    assert served.primary.id != first.id
    new = served.token.keyring.wrap(SEED)
    for each in (old, new):
        assert served.token.keyring.unwrap(each.key_id, each.envelope) == SEED
    assert not served.token.keyring.failing(SOFTHSM)
    assert served.places == 1


def test_a_key_that_goes_is_used_until_the_switch_and_never_after(served: Served) -> None:
    first = served.primary
    served.change(Verb.ROTATE)
    served.switch()
    served.change(Verb.DISABLE, "v1", stored=0)
    served.switch()
    served.shop.clocks.go_on(WAIT_SECONDS)
    served.change(Verb.DESTROY, "v1", typed=first.id, stored=0)
    assert served.engine.unwrap(first.object_id, first.known_answer, PROBE_AAD) == PROBE_PLAINTEXT
    assert served.places == 2
    served.switch()
    with pytest.raises(LostError):
        served.engine.wrap(first.object_id, SEED, b"associated")
    assert not served.token.keyring.failing(SOFTHSM)
    assert served.places == 1


def test_what_was_laid_out_is_what_is_opened(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.change(Verb.STAGE)
    unpacked: list[Path] = []
    monkeypatch.setattr(memory, "unpack", lambda _files, directory: unpacked.append(directory))
    served.switch()
    assert unpacked == []


def test_what_was_got_ready_and_never_switched_to_harms_nothing(served: Served) -> None:
    served.change(Verb.STAGE)
    served.token.close()
    served.token.open()
    assert [key.version for key in served.token.keyring.keyset.keys] == [1, 2]
    assert not served.token.keyring.failing(SOFTHSM)
    assert served.places == 1
