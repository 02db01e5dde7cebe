"""Shops with slots, and a cheap scrypt where its cost is not the question."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from tests.fakes import FakeEngine
from tests.slots.shop import SlotShop
from tests.volume.conftest import memory_dir
from tests.volume.house import House

__all__ = ["memory_dir"]


@pytest.fixture
def house(tmp_path: Path, memory_dir: Path) -> House:
    return House(tmp_path, memory_dir).build()


@pytest.fixture
def shop(house: House) -> SlotShop:
    return SlotShop(house, FakeEngine())


@pytest.fixture
def real_shop(house: House) -> Iterator[SlotShop]:
    engine = SoftHsmEngine()
    yield SlotShop(house, engine)
    engine.close()
