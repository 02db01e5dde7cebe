"""Settings are read once in a start, beside everything else, and handed to the programs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import handed
from appliance.settings import Settings, load
from appliance.settings.table import DERIVED

TAKES = "import sys; from appliance import handed; sys.stdout.buffer.write(handed.taken())"


@pytest.fixture
def reading() -> Iterator[handed.Reading]:
    reading = handed.begun()
    assert reading
    yield reading
    reading.close()


def program(stdin: int, **changes: str) -> bytes:
    """What one that we started as its supervisor takes from there."""
    environment = {**os.environ, "SUPERVISOR_PID": str(os.getpid())} | changes
    return subprocess.run(
        [sys.executable, "-c", TAKES], stdin=stdin, env=environment, capture_output=True, check=True
    ).stdout


def test_what_is_handed_is_what_is_read(reading: handed.Reading) -> None:
    found, read = handed.unpacked(program(reading.opened())), load()
    assert found.keys() == Settings.model_fields.keys() | set(DERIVED)
    for name, value in found.items():
        own = getattr(read, name)
        assert value == (list(own) if isinstance(own, tuple) else own), name
        assert isinstance(value, Path) == isinstance(own, Path), name


def test_nothing_of_the_settings_is_left_out() -> None:
    properties = {
        name
        for each in Settings.__mro__
        if each.__module__.startswith("appliance.")
        for name, member in vars(each).items()
        if isinstance(member, property)
    }
    assert properties == set(DERIVED)


def test_each_program_finds_all_of_it(reading: handed.Reading) -> None:
    assert len({program(reading.opened()) for _ in range(3)}) == 1


def test_nothing_is_handed_when_they_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KLEIDI_QUEUE_SIZE", "none")
    reading = handed.begun()
    assert reading
    assert program(reading.opened()) == b""
    reading.close()
    assert capfd.readouterr().err == ""  # the programs say it


def test_nobody_waits_for_a_reader_that_was_killed() -> None:
    reading = handed.begun()
    assert reading
    opened = reading.opened()
    reading.close()  # while it is at work
    assert program(opened) == b""


@pytest.mark.parametrize("supervisor", ["", "1"], ids=["none", "another"])
def test_whom_nobody_of_ours_started_takes_nothing(supervisor: str, reading: handed.Reading) -> None:
    assert program(reading.opened(), SUPERVISOR_PID=supervisor) == b""


def test_another_input_is_none_of_ours(tmp_path: Path) -> None:
    assert program(subprocess.DEVNULL) == b""
    (tmp_path / "file").write_text("{}")
    with (tmp_path / "file").open() as file:
        assert program(file.fileno()) == b""
