"""A TPM for each test, that nothing was ever done to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tpm.chip import Chip


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Chip]:
    with made(tmp_path / "chip") as chip:
        yield chip


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Chip]:
    """Another machine's."""
    with made(tmp_path / "other") as chip:
        yield chip


def made(state: Path) -> Chip:
    state.mkdir()
    return Chip(state)
