"""The probe that asks the health socket: every state, and every stranger in the server's place."""

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Fault
from appliance.service.standing import Standing
from tests.health.answering import KEYSET, PROBE, Answering, probe
from tests.health.moments import every_state


@every_state
def test_the_probe_says_what_status_would(
    answering: Answering, standing: Standing, state: str, fault: Fault
) -> None:
    answering.standing = standing
    ready = probe("--ready", answering.path)
    assert (ready.returncode, ready.stdout, ready.stderr) == (1, f"{state} {fault}\n", "")
    live = probe("--live", answering.path)
    assert (live.returncode, live.stdout, live.stderr) == (0, "ok\n", "")


def test_the_probe_succeeds_when_all_is_well(answering: Answering) -> None:
    ready = probe("--ready", answering.path)
    assert (ready.returncode, ready.stdout) == (0, "ok\n")


def test_the_probe_says_that_nobody_answers(directory: Path) -> None:
    done = probe("--live", directory / "health.sock")
    assert done.returncode == 1
    assert done.stdout.startswith("E-SERVER-UNREACHABLE: nobody answers on ")
    assert len(done.stdout.splitlines()) == 1


# More was announced than comes.
_CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"


@pytest.mark.parametrize(
    "answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\xff" * 20_000, _CUT_OFF]
)
def test_the_probe_distrusts_a_stranger(directory: Path, answer: bytes) -> None:
    path = directory / "health.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        stranger.settimeout(20)

        def reply() -> None:
            with contextlib.suppress(OSError):
                caller, _ = stranger.accept()
                with caller:
                    caller.recv(1000)
                    caller.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        done = probe("--live", path)
        thread.join()
    assert done.returncode == 1
    assert done.stdout.startswith("E-SERVER-UNREACHABLE: what answers on ")
    assert done.stderr == ""


def test_the_probe_does_not_wait_for_a_server_that_hangs(directory: Path) -> None:
    path = directory / "health.sock"
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(path))
        hanging.listen()
        done = probe("--live", path)
    assert done.returncode == 1
    assert done.stdout.startswith("E-SERVER-MUTE: ")
    assert "timed out" in done.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["--alive"], ["/path"], ["--live", "a", "b"], ["--live", "--ready"]]
)
def test_the_probe_called_wrongly(arguments: list[str]) -> None:
    done = probe(*arguments)
    assert done.returncode == (1 if arguments == ["--live", "--ready"] else 2)


def test_the_probe_is_a_program(answering: Answering) -> None:
    assert os.access(PROBE, os.X_OK)
    done = subprocess.run([str(PROBE), "--ready", str(answering.path)], capture_output=True, check=False)
    assert done.returncode == 0


def test_the_probe_tells_every_reason_in_one_line(answering: Answering) -> None:
    unreadable, gone = faults.KEY_UNREADABLE, faults.SEAL_KEY_GONE
    answering.standing = Standing(unreadable, keyset=KEYSET).told((gone, "a detail for operators"))
    said = probe("--ready", answering.path)
    assert (said.returncode, said.stdout) == (1, f"DEGRADED {unreadable} {gone}\n")
