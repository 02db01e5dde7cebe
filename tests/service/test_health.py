"""The health socket and the probe that asks it: every state, and every caller that is no probe."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.service import health
from appliance.service.sockets.http import Routes, speaks_http
from appliance.service.sockets.listener import Listener
from appliance.service.standing import Standing
from tests.fakes import made
from tests.service.asked import connect, get, received, send
from tests.service.running import until

PROBE = Path(__file__).parents[2] / "appliance" / "probe.py"
KEYSET = KeySet("0123456789ab", (Key.born("0123456789ab", 1, KeyState.PRIMARY, made("00", b"x" * 28)),))
OPERATIONAL = Standing(None, keyset=KEYSET)
CASES = [
    (Standing(), "STARTING", faults.STARTING),
    (Standing(faults.VOLUME_EMPTY), "UNPROVISIONED", faults.VOLUME_EMPTY),
    (Standing(faults.SEAL_KEY_MISSING, "detail"), "SEALED", faults.SEAL_KEY_MISSING),
    (Standing(faults.SEAL_CORRUPT, "detail"), "FAILED", faults.SEAL_CORRUPT),
    (Standing(faults.ANCHOR_UNWRITABLE, "detail", KEYSET), "DEGRADED", faults.ANCHOR_UNWRITABLE),
    (Standing(faults.PROBE_STALE, keyset=KEYSET), "FAILED", faults.PROBE_STALE),
]
every_state = pytest.mark.parametrize(
    ("standing", "state", "fault"), CASES, ids=[case[2].id for case in CASES]
)


class Answering:
    """A health socket, served by a loop in a thread; *standing* may be changed at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.standing = OPERATIONAL
        self.loop = asyncio.new_event_loop()
        self.health = Listener(path, 0o600, None, speaks_http(self._routes()))
        self._thread = threading.Thread(target=self.loop.run_forever)

    def _routes(self) -> Routes:
        return health.routes(lambda: self.standing, lambda: '{"state": "as it is"}')

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.health.open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.health.close(1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, object]) -> object:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def connect(self) -> socket.socket:
        return connect(self.path)

    def send(self, request: bytes) -> bytes:
        return send(self.path, request)

    def get(self, path: str) -> tuple[int, str]:
        return get(self.path, path)


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kleidi-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def answering(directory: Path) -> Iterator[Answering]:
    with Answering(directory / "health.sock") as answering:
        yield answering
        # Whatever the test did, the next probe is answered.
        assert answering.get("/livez") == (200, "ok\n")


def probe(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As the manifests run it: without site, so that nothing of ours could be imported."""
    command = [sys.executable, "-I", "-S", str(PROBE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_all_is_well(answering: Answering) -> None:
    assert answering.get("/livez") == (200, "ok\n")
    assert answering.get("/readyz") == (200, "ok\n")


@every_state
def test_alive_in_every_state_and_ready_only_when_all_is_well(
    answering: Answering, standing: Standing, state: str, fault: Fault
) -> None:
    answering.standing = standing
    assert answering.get("/livez") == (200, "ok\n")
    assert answering.get("/readyz") == (503, f"{state} {fault}\n")
    answering.standing = OPERATIONAL
    assert answering.get("/readyz") == (200, "ok\n")


@every_state
def test_in_words_it_tells_what_hurts_calls_from_what_only_warns(
    answering: Answering, standing: Standing, state: str, fault: Fault
) -> None:
    answering.standing = standing
    warned = f"[+]serving ok\n[!]{fault.id} warned: {fault}\n"
    told = warned if state == "DEGRADED" else f"[-]{fault.id} failed: {fault}\n"
    assert answering.get("/readyz?verbose") == (503, f"{told}readyz check failed\n")
    answering.standing = OPERATIONAL
    assert answering.get("/readyz?verbose") == (200, "[+]serving ok\nreadyz check passed\n")


def test_several_reasons_are_all_told_worst_first(answering: Answering) -> None:
    unreadable, gone = faults.KEY_UNREADABLE, faults.SEAL_KEY_GONE
    answering.standing = Standing(unreadable, keyset=KEYSET).told((gone, "a detail for operators"))
    assert answering.get("/readyz") == (503, f"DEGRADED {unreadable} {gone}\n")
    lines = ["[+]serving ok", f"[-]{unreadable.id} failed: {unreadable}", f"[!]{gone.id} warned: {gone}"]
    assert answering.get("/readyz?verbose") == (503, "\n".join([*lines, "readyz check failed", ""]))
    said = probe("--ready", answering.path)
    assert (said.returncode, said.stdout) == (1, f"DEGRADED {unreadable} {gone}\n")


def test_the_status_is_there_as_json(answering: Answering) -> None:
    answer = answering.send(b"GET /status.json HTTP/1.1\r\n\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in answer
    assert answering.get("/status.json") == (200, '{"state": "as it is"}\n')


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


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz?exclude HTTP/1.1\r\n\r\n", 404),
        (b"GET /../livez HTTP/1.0\r\n\r\n", 404),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 405),
        (b"HEAD /livez HTTP/1.1\r\n\r\n", 405),
        (b"GET livez HTTP/1.1\r\n\r\n", 400),
        (b"GET  /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/2\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x00\xff\xfe\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
        (b"GET /" + b"a" * 1024 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nX: " + b"a" * 5000 + b"\r\n\r\n", 431),
        (b"a" * 100_000, 431),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_is_no_question_of_a_probe_is_refused(
    answering: Answering, request_: bytes, status: int
) -> None:
    assert answering.send(request_).startswith(f"HTTP/1.1 {status} ".encode())


def test_one_connection_is_one_answer(answering: Answering) -> None:
    answer = answering.send(b"GET /livez HTTP/1.1\r\n\r\n" * 2)
    assert answer.count(b"HTTP/1.1") == 1


def test_a_question_may_come_in_pieces(answering: Answering) -> None:
    with answering.connect() as caller:
        for letter in b"GET /livez HTTP/1.1\r\n\r\n":
            caller.sendall(bytes([letter]))
        assert received(caller).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\n"], ids=["nothing", "half of it"])
def test_who_does_not_go_on_is_shown_out(answering: Answering, said: bytes) -> None:
    started = time.monotonic()
    with answering.connect() as caller:
        caller.sendall(said)
        assert received(caller) == b""
    assert 1 < time.monotonic() - started < 15


def test_a_crowd_that_says_nothing_is_bounded_and_goes(answering: Answering) -> None:
    with contextlib.ExitStack() as callers:
        for _ in range(64):
            callers.enter_context(answering.connect())
        until(lambda: answering.get("/livez")[0] == 503, "it is full")
        until(lambda: answering.get("/livez")[0] == 200, "they are shown out")


def test_a_caller_that_leaves_is_no_trouble(answering: Answering) -> None:
    for said in (b"", b"GET /li", b"GET /livez HTTP/1.1\r\n\r\n"):
        for _ in range(10):
            with answering.connect() as caller:
                caller.sendall(said)


def test_only_its_owner_may_ask(answering: Answering) -> None:
    assert answering.path.stat().st_mode & 0o777 == 0o600


def test_the_socket_goes_with_its_server(directory: Path) -> None:
    path = directory / "health.sock"
    with Answering(path):
        assert path.is_socket()
    assert not path.exists()


def test_a_socket_left_behind_is_replaced(directory: Path) -> None:
    path = directory / "health.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with Answering(path) as answering:
        assert answering.get("/livez") == (200, "ok\n")


def test_a_socket_that_was_removed_comes_back(answering: Answering) -> None:
    answering.path.unlink()
    assert answering.run(answering.health.keep(0, 1)) == ""
    assert answering.get("/readyz") == (200, "ok\n")


def test_a_second_server_leaves_the_first_one_its_socket(answering: Answering) -> None:
    second = Listener(answering.path, 0o600, None, speaks_http(health.routes(Standing, str)))
    with pytest.raises(KleidiError) as caught:
        answering.run(second.open())
    assert caught.value.fault is faults.SOCKET_IN_USE
    assert answering.get("/readyz") == (200, "ok\n")


def test_the_probe_says_that_nobody_answers(directory: Path) -> None:
    done = probe("--live", directory / "health.sock")
    assert done.returncode == 1
    assert done.stdout.startswith("E-SERVER-UNREACHABLE: nobody answers on ")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\xff" * 20_000])
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
