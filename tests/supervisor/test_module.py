"""A SoftHSM module that cannot be used: told on every surface, and served from as soon as it can be."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import softhsm
from tests.rig import Appliance
from tests.supervisor.test_appliance import eventually, reason, round_trip

LINE = re.compile(r"\d\d:\d\d:\d\d (info|warning|error|critical) +\S")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.so"
    path.write_bytes(b"not a library.\n")
    return path


@pytest.fixture
def appliance(tmp_path: Path, module: Path) -> Iterator[Appliance]:
    with Appliance(tmp_path, softhsm_module=str(module)) as appliance:
        yield appliance


def put_right(module: Path) -> None:
    whole = module.with_name("whole")
    whole.write_bytes(softhsm.Library.find().module.read_bytes())
    whole.rename(module)


def refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert not done.stdout or json.loads(done.stdout)["id"] == "E-MODULE-UNUSABLE"
    (line,) = done.stderr.splitlines()
    assert line.startswith("kleidi: E-MODULE-UNUSABLE: ")
    assert "KLEIDI_SOFTHSM_MODULE" in line
    assert "not a library" in line


def test_verbs_end_with_it_and_change_nothing(appliance: Appliance, module: Path) -> None:
    appliance.volume.mkdir()
    (appliance.root / "etc").mkdir()
    refused(appliance.run("provision"))
    assert not list(appliance.volume.glob("generation-*"))
    put_right(module)
    assert appliance.run("provision").returncode == 0
    module.write_bytes(b"not a library.\n")
    refused(appliance.run("key", "rotate", "-o", "json"))
    refused(appliance.run("key", "stage"))
    assert [path.name for path in appliance.volume.glob("generation-*")] == ["generation-00000001.seal"]


def test_the_server_says_so_and_goes_on_by_itself(appliance: Appliance, module: Path) -> None:
    appliance.start()
    eventually(lambda: "E-MODULE-UNUSABLE" in reason(appliance), appliance)
    put_right(module)
    key_id = appliance.wait_ready()
    appliance.stop()
    module.write_bytes(b"not a library.\n")
    appliance.start()
    eventually(lambda: "E-MODULE-UNUSABLE" in reason(appliance), appliance)
    shown = json.loads(appliance.run("status", "-o", "json").stdout)
    assert (shown["state"], shown["reason_id"]) == ("FAILED", "E-MODULE-UNUSABLE")
    server = appliance.pid("kms")
    put_right(module)
    assert appliance.wait_ready() == key_id
    assert appliance.pid("kms") == server
    round_trip(appliance)
    assert [line for line in appliance.log().splitlines() if not LINE.match(line)] == []
    assert "E-TOKEN-LOST" not in appliance.log()
    assert "E-TRIAL-FAILED" not in appliance.log()
