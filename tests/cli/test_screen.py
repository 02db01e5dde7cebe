"""Answers fit the terminal, and nothing of a terminal reaches a pipe."""

import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import screen
from appliance.client.keys import KeyCheck, KeyList
from appliance.client.report import KeyRow, Reason, Report
from appliance.ops.check import Condition, Verdict
from tests.reference import CHECKOUT

KEY_ID = "kleidi/0123456789ab/v10/fedcba987654"
LONG = (
    "E-KEY-UNREADABLE: a key cannot be read any more. Restore it from a backup, it is in none of the others."
)
REPORT = Report(
    "DEGRADED", "E-KEY-UNREADABLE", LONG, reasons=[Reason("E-KEY-UNREADABLE", LONG)], key_id=KEY_ID
)


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    rows = [KeyRow(f"v{n}", KEY_ID, "disabled", 1_795_000_000, True, 1_234_567, 7_654_321) for n in range(9)]
    conditions = [
        Condition("not asked for", Verdict.UNKNOWN, "3.2 h of serving without a Decrypt, 25 wanted")
    ]
    shown = (
        KeyList(rows).to_text(columns),
        KeyCheck(KEY_ID, conditions, True, LONG, False, LONG).to_text(columns),
        REPORT.to_text(columns),
    )
    for text in shown:
        assert all(len(line) <= columns for line in text.splitlines()), text


def test_a_key_list_of_one_fits_eighty_columns_in_one_line_each() -> None:
    rows = [KeyRow("v1", KEY_ID, "retired", 1_795_000_000, False, 12_345, 67_890)]
    head, line = KeyList(rows).to_text(80).splitlines()
    assert head.split() == ["KEY", "STATE", "SINCE", "ENC", "DEC", "KEY", "ID"]
    assert line.endswith(KEY_ID)
    assert len(line) <= 80


def test_without_a_terminal_every_thing_is_one_line() -> None:
    assert f"reason      {LONG}" in REPORT.to_text().splitlines()


def test_an_id_is_never_broken() -> None:
    lines = screen.table(("KEY", "KEY ID"), [("v1", KEY_ID)], 20)
    assert lines == ["KEY", "    KEY ID", "v1", f"    {KEY_ID}"]
    assert any(KEY_ID in line for line in screen.rows([("key id", f"it is {KEY_ID} here")], 30))


@given(st.text())
def test_what_is_shown_cannot_move_the_cursor(text: str) -> None:
    assert screen.safe(text).isprintable()


def seen(**environment: str) -> str:
    """What a person at a terminal sees of a stopped appliance."""
    pid, terminal = pty.fork()
    if pid == 0:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
        arguments = [sys.executable, "-m", "appliance", "status"]
        os.chdir(CHECKOUT)
        os.execve(sys.executable, arguments, {**kept, "TERM": "xterm", **environment})  # noqa: S606
    text = b""
    try:
        while chunk := os.read(terminal, 4096):
            text += chunk
    except OSError:  # its other end is closed
        pass
    os.close(terminal)
    os.waitpid(pid, 0)
    return text.decode()


def test_colour_is_for_a_terminal_and_for_who_wants_it() -> None:
    coloured = seen()
    assert "\x1b[1;31m" in coloured
    assert "\x1b" not in seen(NO_COLOR="1")
    assert "\x1b" not in seen(TERM="dumb")
    piped = subprocess.run(
        [sys.executable, "-m", "appliance", "status"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "\x1b" not in piped.stdout
    assert piped.stdout.startswith("state       ")
