"""The page on monitoring: its command, its links, and the parts that the code writes."""

from pathlib import Path

from appliance.manifests import monitoring
from tests.docs import monitoring as written_parts
from tests.docs.pages import DOCS, dead_links, run, to_run, without_settings
from tests.rig import BIN

PAGES = [DOCS / "monitoring.md"]


def test_its_command_writes_the_files_that_it_names(tmp_path: Path) -> None:
    environment = without_settings()
    run(to_run(PAGES[0]), tmp_path, environment | {"PATH": f"{BIN}:{environment['PATH']}"})
    assert {each.name: each.read_text() for each in (tmp_path / "monitoring").iterdir()} == monitoring.files()
    assert all(f"`{name}`" in PAGES[0].read_text() for name in monitoring.files())


def test_what_the_code_writes_is_current() -> None:
    page = PAGES[0].read_text()
    assert written_parts.written(page) == page


def test_its_links_lead_somewhere() -> None:
    assert dead_links(PAGES[0]) == []
