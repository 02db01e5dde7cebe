"""`make run` in a clone: what it leaves for another terminal, and what it says to a second one."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from tests.conformance.patience import eventually
from tests.reference import CHECKOUT
from tests.rig import MEMORY

SECONDS = 90


class Run:
    """container/try.sh below a directory whose path is short enough for a socket."""

    def __init__(self) -> None:
        self.dir = MEMORY / f"kleidi-run-{secrets.token_hex(3)}"
        self.dir.mkdir()
        self.said = self.dir / "said"
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                ["container/try.sh"],
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def environment(self) -> dict[str, str]:
        told = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
        return {**told, "RUN_DIR": str(self.dir)}

    def wait(self) -> str:
        def announced() -> bool:
            return "In another terminal" in self.said.read_text()

        eventually(announced, within=SECONDS, explain=self.said.read_text)
        return self.said.read_text()

    def second(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["container/try.sh"],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(SECONDS)
        subprocess.run(["rm", "-rf", str(self.dir)], check=True)


@pytest.fixture
def running() -> Iterator[Run]:
    run = Run()
    yield run
    run.close()


def ask(run: Run, *arguments: str, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    """As another terminal has it: none of the settings, another directory."""
    return subprocess.run(
        [str(run.dir / "kleidi"), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def test_another_terminal_asks_it_and_a_second_one_is_told_so(running: Run) -> None:
    assert f"In another terminal: {running.dir}/kleidi status\n" in running.wait()
    status = ask(running, "status")
    assert status.stdout.startswith("state       OPERATIONAL"), status.stdout + status.stderr
    assert "softhsm: 1 key, used from copies in memory\n" in status.stdout
    assert ask(running, "key", "list").returncode == 0
    second = running.second()
    assert second.returncode == faults.VOLUME_LOCKED.exit
    assert second.stdout == ""
    assert second.stderr.startswith("kleidi: E-VOLUME-LOCKED: ")
    assert len(second.stderr.splitlines()) == 1
    assert f"{running.dir}/kleidi status" in second.stderr
    assert ask(running, "status").stdout.startswith("state       OPERATIONAL")
    running.stop()
    assert ask(running, "status").stdout.startswith("state       STOPPED")


def test_what_outlives_its_script_is_noticed(running: Run) -> None:
    running.wait()
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait(SECONDS)
    try:
        assert running.second().returncode == faults.VOLUME_LOCKED.exit
    finally:
        for child in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        eventually(
            lambda: not any(Path(f"/proc/{child}/cmdline").exists() for child in children), within=SECONDS
        )
