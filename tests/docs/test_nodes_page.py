"""docs/high-availability.md does what it says: its blocks are run in order, on three appliances."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, run, to_run
from tests.rig import BIN, Appliance

PAGES = [DOCS / "high-availability.md"]
POLICIES = {"one": "auto", "two": "join", "three": "join"}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """One command for each node, that runs others there."""
    commands, made = tmp_path / "bin", []
    commands.mkdir()
    for name, policy in POLICIES.items():
        (tmp_path / name).mkdir()
        appliance = Appliance(tmp_path / name, provision=policy)
        made.append(appliance)
        appliance.start()
        settings = [
            f"{key}={shlex.quote(value)}" for key, value in appliance.environment.items() if "KLEIDI_" in key
        ]
        script = commands / name
        script.write_text(f'#!/bin/sh\nexport {" ".join(settings)}\nexec "$@"\n')
        script.chmod(0o755)
    made[0].wait_ready()
    yield f"{commands}:{BIN}:{os.environ['PATH']}"
    for appliance in made:
        appliance.close()


def test_its_commands_run(path: str, tmp_path: Path) -> None:
    run(to_run(PAGES[0]), tmp_path, {**os.environ, "PATH": path})
