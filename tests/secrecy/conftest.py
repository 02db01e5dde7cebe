"""A node of its own, and no server unless a test starts one."""

from pathlib import Path

import pytest

from tests.ops.shop import Node
from tests.volume.conftest import memory_dir

__all__ = ["memory_dir"]


@pytest.fixture
def node(tmp_path: Path, memory_dir: Path) -> Node:
    return Node(tmp_path, memory_dir).build()
