"""Whatever happens to a command, it ends with one line at most and the exit code that fits."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.cli import ending
from appliance.faults import Exit, KleidiError

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SECRET = "a PIN, 1234"  # noqa: S105
KLEIDI = [sys.executable, "-m", "appliance"]


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
    return kept | changes


def kleidi(*arguments: str, stdout: int, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KLEIDI, *arguments],
        env=environment(**changes),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(autouse=True)
def _not_at_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KLEIDI_LOG_LEVEL", raising=False)


def ended(work: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and what stderr got."""
    with pytest.raises(SystemExit) as caught, ending.told():
        work()
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_fault_is_its_line_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    fault = KleidiError(faults.VOLUME_LOCKED, "why")
    assert ended(raising(fault), capsys) == (Exit.BUSY, f"kleidi: {fault}\n")


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        OverflowError(SECRET),
        MemoryError(),
        RecursionError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        OSError(errno.EIO, "Input/output error", "/volume/x\ny"),
        OSError(SECRET),
    ],
    ids=repr,
)
def test_a_surprise_is_one_line_without_its_text(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(raising(error), capsys)
    assert code == Exit.ERROR
    assert said.startswith("kleidi: E-INTERNAL: ")
    assert len(said.splitlines()) == 1
    assert SECRET not in said


def test_a_surprise_says_what_it_is_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    odd: object = Path("relative")

    def work() -> None:
        KleidiError(faults.CONFIG, odd)  # type: ignore[arg-type]

    assert "AttributeError, appliance.faults.fault:" in ended(work, capsys)[1]
    said = ended(raising(OSError(errno.EIO, "Input/output error", "/volume")), capsys)[1]
    assert "(OSError, " in said
    assert "Input/output error, /volume)" in said


def test_an_interrupt_and_an_exit_are_left_alone() -> None:
    with pytest.raises(KeyboardInterrupt), ending.told():
        raise KeyboardInterrupt
    with pytest.raises(SystemExit, match="7"), ending.told():
        sys.exit(7)


def test_output_that_cannot_be_written_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        done = kleidi("version", stdout=full.fileno())
    assert done.returncode == Exit.ERROR
    assert done.stderr.startswith("kleidi: E-OUTPUT: ")
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_read_enough_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = kleidi("version", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.ERROR, "")


def test_a_closed_output_is_no_surprise() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *KLEIDI, "version"],
        env=environment(),
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


SURPRISE = (
    "from appliance.cli import main; from appliance.cli.verbs import app;"
    "app.registered_commands.clear(); app.registered_groups.clear();"
    "app.command('version')(lambda: 1 / 0); app.command('other')(lambda: 0); main()"
)


def surprise(**changes: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SURPRISE, "version"],
        env=environment(**changes),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.ERROR
    return done.stderr


def test_the_traceback_is_shown_at_debug_alone() -> None:
    assert surprise().count("\n") == 1
    assert "Traceback" not in surprise(KLEIDI_LOG_LEVEL="info")
    shown = surprise(KLEIDI_LOG_LEVEL="debug")
    assert "ZeroDivisionError" in shown
    assert "Traceback" in shown
    assert shown.splitlines()[-1].startswith("kleidi: E-INTERNAL: ")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Whom a shell starts in the background ignores interrupts, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "module", ["appliance.supervised", "typer", "pydantic_settings", "appliance.cli.verbs"]
)
def test_an_interrupt_while_it_starts_is_quiet(module: str, tmp_path: Path) -> None:
    """`-X importtime` tells of each module as it is there."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "appliance", "key", "list"],
        env=environment(KLEIDI_VOLUME_DIR=str(tmp_path)),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while line := process.stderr.readline():
        if line.split("|")[-1].strip() == module:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130
    assert [line for line in rest.splitlines() if not line.startswith("import time:")] == []


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", INTERRUPTS_ITSELF],
        env=environment(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kleidi ")


INTERRUPTS_ITSELF = (
    "import signal, sys; sys.argv = ['kleidi', 'version']; from appliance.__main__ import main;"
    "signal.raise_signal(signal.SIGINT); main()"
)
