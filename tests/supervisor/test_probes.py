"""The probes of the manifests, asked of the whole appliance."""

import re
import socket
import subprocess
from pathlib import Path

from tests.conformance.patience import eventually
from tests.health.test_loopback import free, get
from tests.rig import CHECKOUT, Appliance

PROBE = CHECKOUT / "appliance" / "probe.py"
PATIENCE_SECONDS = 60


def ask(appliance: Appliance, question: str) -> tuple[int, str]:
    command = [str(PROBE), question, str(appliance.admin.with_name("health.sock"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout.strip()


def until(appliance: Appliance, question: str, expected: tuple[int, str]) -> None:
    eventually(
        lambda: ask(appliance, question) == expected,
        within=PATIENCE_SECONDS,
        explain=lambda: f"{ask(appliance, question)}\n{appliance.log()}",
    )


def test_ready_when_it_serves_and_gone_when_it_stops(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance:
        appliance.start()
        appliance.wait_ready()
        assert ask(appliance, "--live") == (0, "ok")
        until(appliance, "--ready", (0, "ok"))
        appliance.stop()
        assert ask(appliance, "--live")[0] == 1
        assert not appliance.admin.with_name("health.sock").exists()


def test_it_is_asked_by_tcp_where_that_is_set(tmp_path: Path) -> None:
    address = free("127.0.0.1", socket.AF_INET)
    with Appliance(tmp_path, http=address) as appliance:
        appliance.start()
        appliance.wait_ready()
        status, text = get(address, "/readyz?verbose")
        assert status == 200
        assert re.search(r"^\[\+\]token ok \(proved \d+s ago\)$", text, re.MULTILINE)
        assert "[!]backup warned: no backup was ever verified here\n" in text
        appliance.stop()
        # The port is free for the next one at once.
        appliance.start()
        appliance.wait_ready()
        assert get(address, "/healthz") == (200, "ok\n")


def test_without_a_key_it_is_alive_and_not_ready_and_never_restarted(tmp_path: Path) -> None:
    with Appliance(tmp_path, provision="join") as appliance:
        appliance.start()
        until(appliance, "--live", (0, "ok"))
        eventually(
            lambda: "E-AWAITING-JOIN" in ask(appliance, "--ready")[1],
            within=PATIENCE_SECONDS,
            explain=appliance.log,
        )
        assert ask(appliance, "--ready")[0] == 1
        assert ask(appliance, "--live") == (0, "ok")
