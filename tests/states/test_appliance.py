"""The same of the whole appliance over SoftHSM: serving, stopped, sealed, and healed, one after the other."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Exit
from tests.conformance.patience import eventually
from tests.rig import Appliance
from tests.service.asked import get
from tests.service.client import connected
from tests.states.conftest import NOBODY
from tests.states.surfaces import ids_in
from tests.states.typist import SETTING, Screen, Typist


class Terminal:
    def __init__(self, appliance: Appliance, typist: Typist) -> None:
        self.appliance, self.typist = appliance, typist

    def type(self, *arguments: str) -> Screen:
        settings = {
            name: value for name, value in self.appliance.environment.items() if name.startswith(SETTING)
        }
        return self.typist.type(arguments, settings)

    def standing(self) -> tuple[str, list[str], int]:
        screen = self.type("status", "-o", "json")
        fields = json.loads(screen.out)
        return fields["state"], [reason["id"] for reason in fields["reasons"]], screen.exit

    def used(self) -> list[tuple[int, int]]:
        return [
            (row["wrapped"], row["unwrapped"])
            for row in json.loads(self.type("key", "list", "-o", "json").out)["keys"]
        ]

    def reach(self, state: str) -> None:
        eventually(lambda: self.standing()[0] == state, within=60, explain=self.appliance.log)


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    key = str(tmp_path / "etc" / "seal.key")
    with Appliance(tmp_path, slot="file", seal_key_file=key, log_format="json") as appliance:
        appliance.start()
        appliance.wait_ready()
        yield appliance


def steps(appliance: Appliance) -> list[tuple[str, str, str]]:
    """From, to and id of every transition that was logged."""
    lines = [json.loads(line) for line in appliance.log().splitlines() if line.startswith("{")]
    return [(line.get("from", ""), line["to"], line.get("id", "")) for line in lines if "to" in line]


def test_a_life_from_every_terminal(appliance: Appliance, operator: Typist, tmp_path: Path) -> None:
    terminal = Terminal(appliance, operator)
    missing, unreachable = faults.SEAL_KEY_MISSING, faults.SERVER_UNREACHABLE
    health = appliance.admin.with_name("health.sock")
    with connected(appliance.socket) as client:
        wrapped = [client.encrypt(b"seed"), client.encrypt(b"seed")]
        assert client.open(wrapped[0]) == b"seed"
    assert terminal.standing() == ("OPERATIONAL", [], Exit.OK)
    assert terminal.used() == [(2, 1)]
    assert json.loads(get(health, "/status.json")[1])["state"] == "OPERATIONAL"

    appliance.stop()
    assert terminal.standing() == ("STOPPED", [unreachable.id], Exit.UNREACHABLE)
    assert terminal.used() == [(2, 1)]

    key = tmp_path / "etc" / "seal.key"
    aside = key.rename(tmp_path / "aside")
    assert terminal.standing() == ("STOPPED", [unreachable.id, missing.id], Exit.UNREACHABLE)
    listed = terminal.type("key", "list")
    assert (listed.exit, listed.out, ids_in(listed.err)) == (Exit.SEALED, "", [missing.id])

    appliance.start()
    terminal.reach("SEALED")
    assert terminal.standing() == ("SEALED", [missing.id], Exit.SEALED)
    listed = terminal.type("key", "list")
    assert (listed.exit, listed.out, ids_in(listed.err)) == (Exit.SEALED, "", [missing.id])
    assert get(health, "/standing") == (503, f"SEALED {missing}\n")
    assert ids_in(get(health, "/readyz?verbose")[1]) == [missing.id]

    aside.rename(key)
    terminal.reach("OPERATIONAL")
    assert steps(appliance)[-2:] == [("STARTING", "SEALED", missing.id), ("SEALED", "OPERATIONAL", "")]

    key.rename(aside)
    terminal.reach("DEGRADED")
    assert terminal.standing() == ("DEGRADED", [faults.SEAL_KEY_GONE.id], Exit.DEGRADED)
    assert appliance.status().healthz == "ok"
    assert terminal.used() == [(2, 1)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_never_hears_that_it_is_stopped(appliance: Appliance, nobody: Typist) -> None:
    terminal = Terminal(appliance, nobody)
    denied = ("UNKNOWN", [faults.SERVER_DENIED.id], Exit.REFUSED)
    appliance.memory.chmod(0o711)
    assert terminal.standing() == denied
    appliance.stop()
    # As after a boot: /run is empty, and nothing there keeps anybody out.
    shutil.rmtree(appliance.admin.parent)
    assert terminal.standing() == denied
    listed = terminal.type("key", "list")
    assert (listed.exit, listed.out) == (Exit.REFUSED, "")
    assert ids_in(listed.err) == [faults.SERVER_DENIED.id]
    assert f"you are uid {NOBODY}" in listed.err
