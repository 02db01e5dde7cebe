"""docs/engines.md does what it says: keys move to a Transit server and back, on a volume of SoftHSM's."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, run, to_run
from tests.rig import BIN
from tests.transit.node import admitted
from tests.transit.openbao import single
from tests.usage.authority import Authority
from tests.volume.conftest import memory_dir
from tests.volume.house import House

__all__ = ["memory_dir"]

PAGES = [DOCS / "engines.md"]


@pytest.fixture
def house(tmp_path: Path, memory_dir: Path) -> House:
    return House(tmp_path, memory_dir).build()


def test_its_commands_run(house: House) -> None:
    assert house.kleidi("provision").returncode == 0
    with single(house.root / "bao", Authority(house.root / "ca")) as server:
        told = admitted(server, house.root / "login")
        environment = house.environment | {
            "KLEIDI_ADMIN_SOCKET": f"{house.memory}/none/admin.sock",
            "PATH": f"{BIN}:{house.environment['PATH']}",
            **{f"KLEIDI_{name.upper()}": value for name, value in told.items()},
        }
        there, _ = run(to_run(PAGES[0]), house.root, environment)
        listed = house.run(
            "env", *(f"{name}={value}" for name, value in environment.items()), "kleidi", "key", "list"
        )
    assert "transit" in there
    states = [line.split()[1:4:2] for line in listed.stdout.splitlines()[1:]]
    assert states == [["retired", "softhsm"], ["retired", "transit"], ["primary", "softhsm"]]
