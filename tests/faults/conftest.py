"""Scenes, each prepared once for all tests, and the strace that they need."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.faults.matrix import Scene
from tests.faults.site import shared_memory
from tests.faults.traced import require_strace
from tests.faults.verbs import VERBS
from tests.volume.conftest import house, memory_dir

__all__ = ["house", "memory_dir"]


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Scene]]:
    """By a verb's name."""
    require_strace()
    with shared_memory() as memory:
        yield cache(lambda name: Scene.prepared(VERBS[name], tmp_path_factory.mktemp(name), memory))
