"""docs/rotation.md, docs/moving-in.md and docs/audit.md do what they say."""

import re
import subprocess
from pathlib import Path

import pytest

from softhsm import Library
from tests.install.test_documents import RUN, dead_links
from tests.rig import BIN
from tests.token.foreign_program import PIN, ForeignProgram
from tests.volume.house import CHECKOUT, House

PAGES = [CHECKOUT / "docs" / f"{name}.md" for name in ("rotation", "moving-in", "audit")]
ERRORS = CHECKOUT / "docs" / "errors.md"
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pages
def test_its_commands_run(page: Path, house: House) -> None:
    assert house.kleidi("provision").returncode == 0
    tokens = house.root / "old-tokens"
    tokens.mkdir()
    library = Library.find()
    program = ForeignProgram(library, tokens)
    program.keygen(program.init_token("kleidi"), "kleidi-kms-plugin")
    library.unload()
    (house.root / "pin").write_text(PIN)
    environment = house.environment | {"KLEIDI_ADMIN_SOCKET": f"{house.memory}/none/admin.sock"}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    blocks = RUN.findall(page.read_text())
    assert blocks
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=house.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


@pages
def test_its_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pages
def test_it_names_errors_that_there_are(page: Path) -> None:
    known = set(re.findall(r"^## (E-[A-Z-]+)$", ERRORS.read_text(), re.MULTILINE))
    assert set(re.findall(r"E-[A-Z]+(?:-[A-Z]+)*", page.read_text())) <= known
