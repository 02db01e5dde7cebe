"""The pages do what they say: blocks marked `sh run` are run in order, and links lead somewhere."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from appliance import __version__
from appliance.manifests.description import Description
from tests.reference import CHECKOUT, ERRORS
from tests.rig import BIN

DOCUMENTS = [CHECKOUT / "docs" / f"{name}.md" for name in ("kubeadm", "kind", "rke2", "k3s")]
RUN = re.compile(r"^```sh run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


def dead_links(page: Path) -> list[str]:
    """Targets of *page* that are not there, as a file or as a heading of one."""
    found = []
    for target, anchor in LINK.findall(page.read_text()):
        place = page.parent / target if target else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            found.append(f"{target}#{anchor}" if anchor else target)
    return found


def anchors(page: Path) -> set[str]:
    """As forges make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
@pytest.mark.skipif(os.geteuid() != 0, reason="the pages install, and a node is root's")
def test_its_commands_run(document: Path, tmp_path: Path) -> None:
    blocks = RUN.findall(document.read_text())
    assert blocks
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


@documents
def test_its_links_lead_somewhere(document: Path) -> None:
    assert [link for link in dead_links(document) if not link.startswith("https://")] == []


@documents
def test_it_names_errors_that_there_are(document: Path) -> None:
    known = set(re.findall(r"^## (E-[A-Z-]+)$", ERRORS.read_text(), re.MULTILINE))
    assert set(re.findall(r"E-[A-Z]+(?:-[A-Z]+)*", document.read_text())) <= known


@documents
def test_it_speaks_of_this_version_and_this_layout(document: Path) -> None:
    text = document.read_text()
    assert f"localhost/kleidi:{__version__}" in text
    assert Description().image == f"localhost/kleidi:{__version__}"
