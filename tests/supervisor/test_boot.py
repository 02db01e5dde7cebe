"""supervisord as appliance.boot runs it, with small programs in place of ours."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.boot import leave
from tests.conformance.patience import eventually
from tests.rig import Appliance, talkative

IDLE = "import time; time.sleep(600)"
PATIENT = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
UP = "print('here', flush=True)"

# Of supervisord's web server, or of our other processes.
UNWANTED = {
    "argparse",
    "asyncio",
    "email.message",
    "html.parser",
    "http.client",
    "importlib.metadata",
    "logging",
    "pydantic",
    "ssl",
    "supervisor.http",
    "supervisor.rpcinterface",
    "typer",
    "xml.etree.ElementTree",
    "xmlrpc.client",
}


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with Appliance(tmp_path, config=tmp_path / "supervisord.conf") as appliance:
        yield appliance


def start(appliance: Appliance, provision: str, kms: str, **changes: str) -> None:
    """Our own configuration, but for the commands and *changes*."""
    text = talkative(appliance.root).read_text()
    for name, code, command in (
        ("provision", provision, "kleidi provision --keep-trying"),
        ("kms", kms, "kleidi serve"),
    ):
        script = appliance.root / f"{name}.py"
        script.write_text(code)
        assert text.count(f"command={command}\n") == 1
        text = text.replace(f"command={command}\n", f"command=python {script}\n")
    for key, value in changes.items():
        lines = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in text.splitlines()]
        text = "\n".join(lines)
    (appliance.root / "supervisord.conf").write_text(text)
    appliance.start()


def wait_for(appliance: Appliance, text: str, count: int = 1) -> None:
    eventually(lambda: appliance.log().count(text) >= count, within=30, explain=appliance.log, pause=0.01)


def wait_until(appliance: Appliance, program: str, state: str) -> None:
    eventually(lambda: appliance.state(program) == state, within=30, explain=appliance.log)


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def spawned(pid: int) -> float:
    """When, on now()'s clock (proc(5), starttime): a busy machine's slow interpreter is left out."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf(
        "SC_CLK_TCK"
    )


def test_starts_both_programs_without_the_second_that_supervisord_waits(appliance: Appliance) -> None:
    start(appliance, f"{UP}; {IDLE}", f"{UP}; {IDLE}")
    wait_for(appliance, "here", 2)
    # supervisord writes its pid file right before its main loop.
    looping = (appliance.control / "pid").stat().st_mtime - time.time() + now()
    for program in ("provision", "kms"):
        assert spawned(appliance.pid(program)) - looping < 0.9


def test_stops_at_once_and_with_success(appliance: Appliance) -> None:
    start(appliance, "", f"{UP}; {PATIENT}")
    wait_for(appliance, "here")
    for number in (signal.SIGTERM, signal.SIGINT):
        began = time.monotonic()
        os.kill(appliance.processes()[0], number)
        assert appliance.wait_end() == 0
        assert time.monotonic() - began < 5
        assert appliance.processes() == []
        assert not appliance.control.exists()
        appliance.start()
        wait_for(appliance, "here", 2)


def test_stops_programs_together_and_ends_those_that_will_not(appliance: Appliance) -> None:
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {UP}; "
    start(appliance, deaf + IDLE, deaf + IDLE, stopwaitsecs="2")
    wait_for(appliance, "here", 2)
    began = time.monotonic()
    assert appliance.stop() == 0
    assert 2 <= time.monotonic() - began < 2 * 2 + 2


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after a while"])
@pytest.mark.parametrize("program", ["provision", "kms"])
def test_ends_with_2_when_a_program_finds_its_configuration_unusable(
    appliance: Appliance, program: str, later: bool
) -> None:
    failing = "import sys; sys.exit('E-CONFIG' and 2)"
    told = f"import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(2)); {UP}; signal.pause()"
    start(appliance, **{"provision": IDLE, "kms": IDLE, program: told if later else failing})
    if later:
        wait_for(appliance, "here")
        wait_until(appliance, program, "RUNNING")
        os.kill(appliance.pid(program), signal.SIGUSR1)
    assert appliance.wait_end() == 2
    assert f"program {program} ended with 2 (configuration); see the log" in appliance.log()
    assert appliance.processes() == []


def test_ends_with_70_when_a_program_does_not_stay_up(appliance: Appliance) -> None:
    start(appliance, "", "raise SystemExit(1)", startretries="2")
    assert appliance.wait_end() == 70
    assert "program kms does not stay up; see the log" in appliance.log()


def test_stopping_while_a_program_waits_for_its_next_try_is_no_failure(appliance: Appliance) -> None:
    start(appliance, "", "raise SystemExit(1)")
    wait_for(appliance, "exited: kms", 2)
    assert appliance.stop() == 0
    assert "does not stay up" not in appliance.log()


def test_tries_a_failed_one_shot_again_but_not_one_that_is_done(appliance: Appliance) -> None:
    marker = appliance.root / "tries"
    start(
        appliance,
        f"import pathlib, sys; p = pathlib.Path({str(marker)!r})\n"
        "n = len(p.read_text()) if p.exists() else 0\n"
        "p.write_text('x' * (n + 1)); print('try', n, flush=True); sys.exit([1, -9, 4][min(n, 2)])",
        f"{UP}; {IDLE}",
    )
    wait_for(appliance, "try 2")
    wait_until(appliance, "provision", "EXITED")
    # Both are looked at in one round, so when this one is back the other was left alone.
    wait_until(appliance, "kms", "RUNNING")
    appliance.kill("kms")
    wait_for(appliance, "here", 2)
    assert appliance.state("provision") == "EXITED"
    assert marker.read_text() == "xxx"


def test_restarts_a_killed_program_at_once(appliance: Appliance) -> None:
    start(appliance, "", f"{UP}; {IDLE}")
    wait_for(appliance, "here")
    wait_until(appliance, "kms", "RUNNING")
    killed = now()
    appliance.kill("kms")
    wait_for(appliance, "here", 2)
    assert spawned(appliance.pid("kms")) - killed < 0.9


def test_a_hangup_ends_it(appliance: Appliance) -> None:
    start(appliance, "", f"{UP}; {PATIENT}")
    wait_for(appliance, "here")
    os.kill(appliance.processes()[0], signal.SIGHUP)
    assert appliance.wait_end() == 0
    assert appliance.processes() == []


def test_prints_every_line_once_however_long(appliance: Appliance) -> None:
    start(
        appliance,
        "import sys; print('out line'); print('error line', file=sys.stderr)",
        f"print('x' * 300000 + ' long line', flush=True); {IDLE}",
    )
    for text in ("out line", "error line", "long line"):
        wait_for(appliance, text)
    appliance.stop()
    for text in ("out line", "error line", "long line"):
        assert appliance.log().count(text) == 1
    assert appliance.log().count("x") >= 300000


def test_the_programs_print_where_it_does(appliance: Appliance) -> None:
    # On the container's own output: supervisord has no part in what they say.
    start(appliance, "", f"{UP}; {IDLE}")
    wait_for(appliance, "here")
    ours = Path(f"/proc/{appliance.processes()[0]}/fd/1").stat()
    for descriptor in ("1", "2"):
        theirs = Path(f"/proc/{appliance.pid('kms')}/fd/{descriptor}").stat()
        assert (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def test_lines_of_two_programs_do_not_mix(appliance: Appliance) -> None:
    code = "import os\nfor _ in range(3000): os.write(1, {!r} * 500 + b'\\n')\n"
    start(appliance, code.format(b"a") + "print('last of one')", code.format(b"b") + f"print('last'); {IDLE}")
    wait_for(appliance, "last", 2)
    lines = [line for line in appliance.log().splitlines() if line and set(line) <= {"a", "b"}]
    assert sorted(lines) == 3000 * ["a" * 500] + 3000 * ["b" * 500]


def test_a_crash_is_shown_whole(appliance: Appliance) -> None:
    start(appliance, "", "import os; os.write(2, b'first of all\\n'); 1 / 0", startretries="1")
    assert appliance.wait_end() == 70
    said = appliance.log()
    assert said.index("first of all\nTraceback (most recent call last):") < said.index("ZeroDivisionError")


def test_its_output_may_be_a_socket(appliance: Appliance) -> None:
    # /dev/stdout cannot be opened by its name then.
    start(appliance, "print('said')", IDLE)
    appliance.stop()
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance.boot", "--config", str(appliance.root / "supervisord.conf")],
        env=appliance.environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs.fileno(),
        stderr=theirs.fileno(),
    )
    theirs.close()
    try:
        ours.settimeout(20)
        said = b""
        while b"said\n" not in said:
            said += ours.recv(1000)
    finally:
        ours.close()
        process.terminate()
        assert process.wait(20) == 0


def test_nobody_can_ask_it_anything(appliance: Appliance) -> None:
    start(appliance, "", f"{UP}; {IDLE}")
    wait_for(appliance, "here")
    assert stat.S_IMODE(appliance.control.stat().st_mode) == 0o700
    assert [path.name for path in appliance.control.iterdir()] == ["pid"]


def test_holds_nothing_that_it_does_not_need(appliance: Appliance) -> None:
    start(appliance, "", f"{UP}; {IDLE}")
    appliance.stop()
    command = [sys.executable, "-X", "importtime", "-m", "appliance.boot"]
    with subprocess.Popen(
        [*command, "--config", str(appliance.root / "supervisord.conf")],
        env=appliance.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.terminate()
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
    loaded = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert "supervisor.process" in loaded
    assert not UNWANTED & set(loaded)
    # The KMS socket is there before the rest is imported.
    ahead = loaded[: loaded.index("appliance.waiting_room")]
    assert not {"supervisor", "appliance.handed", "json", "typing"} & set(ahead)


def test_refuses_a_control_directory_that_others_can_enter(appliance: Appliance) -> None:
    appliance.control.mkdir(parents=True)
    appliance.control.chmod(0o755)
    start(appliance, "", IDLE)
    assert appliance.wait_end() == 2
    assert appliance.log().startswith(f"kleidi: SUPERVISOR_DIR {appliance.control} must be a directory of")
    assert appliance.log().count("\n") == 1


@pytest.mark.parametrize("trap", ["a link", "another user's", "a file"])
def test_refuses_a_control_directory_that_somebody_else_prepared(appliance: Appliance, trap: str) -> None:
    appliance.control.parent.mkdir(parents=True)
    if trap == "a link":
        (appliance.root / "victim").mkdir(mode=0o700)
        appliance.control.symlink_to(appliance.root / "victim")
    elif trap == "a file":
        appliance.control.touch()
    elif os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    else:
        appliance.control.mkdir(mode=0o700)
        os.chown(appliance.control, 65534, 65534)
    start(appliance, "", IDLE)
    assert appliance.wait_end() == 2
    assert appliance.log().startswith(f"kleidi: SUPERVISOR_DIR {appliance.control} must be a directory of")
    assert appliance.log().count("\n") == 1


def test_says_why_it_ended_where_the_kubelet_looks(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    leave("because", log)
    assert not log.exists()
    log.touch()
    leave("because", log)
    assert log.read_text() == "because\n"
