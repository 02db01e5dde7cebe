"""docs/slots.md does what it says: a serving node goes from its key file to Transit, and back."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, run, to_run
from tests.rig import BIN, CONFIG, Appliance
from tests.slots.test_unsealing import eventually
from tests.transit.node import admitted
from tests.transit.openbao import Node, single
from tests.usage.authority import Authority

PAGES = [DOCS / "slots.md"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Node]:
    with single(tmp_path / "bao", Authority(tmp_path / "ca")) as node:
        # As the page of the server has it.
        node.api("POST", "transit/config/keys", {"disable_upsert": True})
        yield node


def test_its_commands_run(server: Node, tmp_path: Path) -> None:
    if shutil.which("age-keygen") is None:
        pytest.fail("age-keygen is missing: run `make test`, which installs it", pytrace=False)
    etc, told = tmp_path / "etc", admitted(server, tmp_path / "login")
    add, look, recovery, remove, again, back = (
        text.replace("/etc/kleidi", str(etc)) for text in to_run(PAGES[0])
    )
    with Appliance(tmp_path, CONFIG, slot="file", seal_key_file=str(etc / "seal.key"), **told) as appliance:
        appliance.environment["PATH"] = f"{BIN}:{os.environ['PATH']}"

        def typed(*blocks: str) -> list[str]:
            return run(blocks, tmp_path, appliance.environment)

        def restarted(slot: str) -> None:
            appliance.environment["KLEIDI_SLOT"] = slot
            appliance.stop()
            appliance.start()

        def protection() -> str:
            return str(json.loads(appliance.run("status", "-o", "json").stdout)["protection"])

        appliance.start()
        key_id = appliance.wait_ready()
        beside = protection()
        assert beside in ("same-disk", "other-disk")
        assert "slot transit opens the seal" in typed(add)[0]
        server.seal()
        restarted("transit")
        eventually(appliance, "SEALED", "E-SLOT-TRANSIT-AWAY")
        opened = appliance.run("unseal", "--key-file", str(etc / "seal.key"))
        assert opened.returncode == 0, opened.stderr
        assert appliance.status().key_id == key_id
        server.unseal()
        server.wait_active()
        restarted("transit")
        [seen] = typed(look)
        assert "OPERATIONAL" in seen
        uses = {each.split()[0]: each.split("  ")[-1].strip() for each in seen.splitlines() if each}
        assert uses["transit"] == "the configured one"
        assert uses["file"] == "opens it without the configured one"
        # A server beside a key file is worth nothing, and it says so.
        assert protection() == beside
        *_, gone = typed(recovery, remove)
        assert gone.splitlines()[-1] == protection() == "remote"
        assert not (etc / "seal.key").exists()
        restarted("transit")
        assert appliance.wait_ready() == key_id
        typed(again)
        assert protection() in (beside, "remote")
        restarted("file")
        assert "OPERATIONAL" in typed(back)[0]
        assert protection() == beside
        names = [
            each["name"] for each in json.loads(appliance.run("slot", "list", "-o", "json").stdout)["slots"]
        ]
        assert sorted(names) == ["file", "recovery"]
        assert appliance.status().key_id == key_id
