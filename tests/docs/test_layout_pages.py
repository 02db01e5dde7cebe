"""The pages on distributions do what they say, on a directory that is laid out as their node."""

import os
from pathlib import Path

import pytest

from appliance import __version__
from appliance.manifests.description import Description
from tests.docs.pages import DOCS, run, to_run, without_settings
from tests.rig import BIN

PAGES = [DOCS / f"{name}.md" for name in ("kubeadm", "kind", "rke2", "k3s")]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pages
@pytest.mark.skipif(os.geteuid() != 0, reason="the pages install, and a node is root's")
def test_its_commands_run(page: Path, tmp_path: Path) -> None:
    environment = without_settings()
    run(to_run(page), tmp_path, environment | {"PATH": f"{BIN}:{environment['PATH']}"})


@pages
def test_it_speaks_of_this_version_and_this_layout(page: Path) -> None:
    assert f"localhost/kleidi:{__version__}" in page.read_text()
    assert Description().image == f"localhost/kleidi:{__version__}"
