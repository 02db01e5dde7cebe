"""docs/screens.md is what the commands print."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance import assembly, screen
from appliance.cli import reach, slot_secrets
from appliance.cli.verbs import app
from appliance.client import admin
from tests.docs import screens
from tests.docs.screens import SCREENS, WIDTHS, Shown


def test_the_page_is_current() -> None:
    assert screens.PAGE.read_text() == screens.page()


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("shown", SCREENS, ids=lambda shown: f"{shown.command} {shown.situation}".strip())
def test_it_fits(shown: Shown, columns: int) -> None:
    assert [line for line in shown.print(columns).splitlines() if len(line) > columns] == []


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server and a volume that say what is on the page, at the page's time."""
    monkeypatch.setenv("KLEIDI_VOLUME_DIR", str(tmp_path))
    monkeypatch.setattr(time, "time", lambda: float(screens.NOW))
    monkeypatch.setattr(reach, "report", lambda _settings: screens.OPERATIONAL)
    monkeypatch.setattr(admin, "ask", lambda _socket: screens.OPERATIONAL)
    monkeypatch.setattr(slot_secrets, "rows", lambda _settings: screens.SLOTS.slots)
    log = SimpleNamespace(tail=lambda _count: screens.TAIL.entries)
    monkeypatch.setattr(assembly, "audit_log", lambda _settings: log)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    "command",
    [
        "kleidi status",
        "kleidi key list",
        "kleidi slot list",
        "kleidi audit tail",
        "kleidi explain E-SEAL-KEY-MISSING",
    ],
)
def test_the_command_prints_it(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screen, "width", lambda: columns)
    with pytest.raises(SystemExit) as ended:
        app(command.split()[1:], prog_name="kleidi")
    assert not ended.value.code
    wanted = next(shown for shown in SCREENS if shown.command == command)
    assert capsys.readouterr().out == f"{wanted.print(columns)}\n"
