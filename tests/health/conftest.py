"""A health socket for every test."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.health.answering import Answering


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kleidi-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def answering(directory: Path) -> Iterator[Answering]:
    with Answering(directory / "health.sock") as answering:
        yield answering
        # Whatever the test did, the next probe is answered.
        assert answering.get("/livez") == (200, "ok\n")
