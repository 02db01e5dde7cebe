"""The volume's fixtures, and two people: one who may open bundles, and a stranger."""

import pytest

from appliance.age.key_pairs import Identities
from tests.volume.conftest import engine, house, memory_dir

__all__ = ["engine", "house", "memory_dir"]


@pytest.fixture(scope="session")
def identity() -> Identities:
    return Identities.generate()


@pytest.fixture(scope="session")
def stranger() -> Identities:
    return Identities.generate()
