"""Nodes: with the fake engine where only decisions matter, with SoftHSM where the token does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from tests.fakes import FakeEngine
from tests.nodes.member import Founder, Newcomer
from tests.volume.conftest import memory_dir
from tests.volume.house import House

__all__ = ["memory_dir"]


@pytest.fixture
def build(tmp_path: Path, memory_dir: Path) -> Callable[[str], House]:
    return lambda name: House(tmp_path / name, memory_dir / name).build()


@pytest.fixture
def founder(build: Callable[[str], House]) -> Founder:
    """The node that made the key."""
    return Founder(build("founder"), FakeEngine())


@pytest.fixture
def newcomer(build: Callable[[str], House]) -> Newcomer:
    return Newcomer(build("newcomer"), FakeEngine())


@pytest.fixture
def real(build: Callable[[str], House]) -> Iterator[tuple[Founder, Newcomer]]:
    """One of each over SoftHSM, which is one for the whole process."""
    engine = SoftHsmEngine()
    yield Founder(build("real-founder"), engine), Newcomer(build("real-newcomer"), engine)
    engine.close()
