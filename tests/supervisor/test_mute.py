"""A server that is there and does not answer, or not here: no command calls it stopped or works beside it."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Exit
from tests.rig import Appliance

RECIPIENT = "age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq"
COMMANDS = [
    ["key", "list"],
    ["key", "check", "v1"],
    ["key", "rotate"],
    ["slot", "list"],
    ["slot", "remove", "volume"],
    ["backup", "create", "bundle.age", "--to", RECIPIENT],
    ["node", "invite"],
]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(tmp_path_factory.mktemp("mute")) as appliance:
        appliance.start()
        appliance.wait_ready()
        yield appliance


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def files(volume: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in volume.iterdir()}


def test_a_frozen_server_is_mute_and_not_stopped(appliance: Appliance) -> None:
    pid = appliance.pid("kms")
    with frozen(pid):
        done = appliance.run("status", "-o", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["state"], told["reason_id"]) == (9, "MUTE", faults.SERVER_MUTE.id)
    assert f"process {pid}" in told["reason"]
    assert "Start it" not in told["reason"]
    # What the volume tells is told all the same.
    assert (told["generation"], len(told["lineage"])) == (1, 12)
    assert [each["id"] for each in told["reasons"]] == [faults.SERVER_MUTE.id]


def test_no_command_works_beside_a_frozen_server(appliance: Appliance) -> None:
    before = files(appliance.volume)
    with frozen(appliance.pid("kms")), ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda command: appliance.run(*command), COMMANDS))
    for each in done:
        (line,) = each.stderr.splitlines()
        assert (each.returncode, each.stdout) == (Exit.UNREACHABLE, "")
        assert line.startswith(f"kleidi: {faults.SERVER_MUTE}")
    assert files(appliance.volume) == before
    assert appliance.run("status").returncode == 0


def test_a_socket_where_nobody_listens_is_told_from_a_server_that_is_down(appliance: Appliance) -> None:
    wrong = {"KLEIDI_ADMIN_SOCKET": str(appliance.admin.with_name("other.sock"))}
    done = appliance.run("status", "-o", "json", env=wrong)
    told = json.loads(done.stdout)
    assert (done.returncode, told["state"]) == (9, "ELSEWHERE")
    assert told["reason_id"] == faults.SERVER_ELSEWHERE.id
    who = f"process {appliance.pid('kms')} holds the volume or its socket"
    where = f"nobody listens on {wrong['KLEIDI_ADMIN_SOCKET']}"
    assert f"({who}; {where})" in told["reason"]
    refused = appliance.run("key", "list", env=wrong)
    assert refused.returncode == Exit.UNREACHABLE
    assert refused.stderr == f"kleidi: {faults.SERVER_ELSEWHERE} ({who}; {where})\n"
