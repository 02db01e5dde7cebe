"""docs/rotation.md, moving-in.md and audit.md do what they say, on a volume while no server runs."""

import json
from pathlib import Path

import pytest

from softhsm import Library
from tests.docs.pages import DOCS, run, to_run
from tests.rig import BIN
from tests.token.foreign_program import PIN, ForeignProgram
from tests.usage.test_etcdctl import DOCUMENT
from tests.volume.conftest import memory_dir
from tests.volume.house import House

__all__ = ["memory_dir"]

PAGES = [DOCS / f"{name}.md" for name in ("rotation", "moving-in", "audit")]


@pytest.fixture
def house(tmp_path: Path, memory_dir: Path) -> House:
    return House(tmp_path, memory_dir).build()


def stand_in_etcdctl(directory: Path) -> None:
    """What the pages pipe out of etcd, without an etcd: one answer to whatever is asked."""
    directory.mkdir()
    (directory / "answer.json").write_text(json.dumps(DOCUMENT))
    program = directory / "etcdctl"
    program.write_text(f'#!/bin/sh\nexec cat "{directory}/answer.json"\n')
    program.chmod(0o755)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_run(page: Path, house: House) -> None:
    assert house.kleidi("provision").returncode == 0
    tokens = house.root / "old-tokens"
    tokens.mkdir()
    library = Library.find()
    program = ForeignProgram(library, tokens)
    program.keygen(program.init_token("kleidi"), "kleidi-kms-plugin")
    library.unload()
    (house.root / "pin").write_text(PIN)
    stand_ins = house.root / "bin"
    stand_in_etcdctl(stand_ins)
    environment = house.environment | {"KLEIDI_ADMIN_SOCKET": f"{house.memory}/none/admin.sock"}
    run(to_run(page), house.root, environment | {"PATH": f"{stand_ins}:{BIN}:{environment['PATH']}"})
