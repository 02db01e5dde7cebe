"""Shops: with the fake engine where only the verbs matter, with SoftHSM where the token does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from tests.fakes import FakeEngine
from tests.ops.shop import Node, Shop
from tests.volume.conftest import memory_dir
from tests.volume.house import House

__all__ = ["memory_dir"]


@pytest.fixture
def house(tmp_path: Path, memory_dir: Path) -> House:
    return House(tmp_path, memory_dir).build()


@pytest.fixture
def shop(house: House) -> Shop:
    return Shop(house, FakeEngine())


@pytest.fixture
def real_shop(house: House) -> Iterator[Shop]:
    engine = SoftHsmEngine()
    yield Shop(house, engine)
    engine.close()


@pytest.fixture
def node(house: House) -> Node:
    """Provisioned, and no server runs."""
    node = Node(house.root, house.memory)
    assert node.kleidi("provision").returncode == 0
    return node
