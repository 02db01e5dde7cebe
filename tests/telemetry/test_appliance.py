"""The appliance as it is shipped, over SoftHSM: what a scrape of it tells, and what outlives a restart."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.key_hash import digest
from tests.rig import Appliance
from tests.service.client import connected
from tests.telemetry.scraped import Scraped


@pytest.fixture
def appliance(tmp_path: Path) -> Appliance:
    return Appliance(tmp_path)


def scraped(appliance: Appliance) -> Scraped:
    return Scraped.of(appliance.admin.with_name("health.sock"))


def numbers(told: Scraped, key_id: str) -> tuple[float | None, ...]:
    encrypted = told.value("kleidi_key_encrypts_total", key_id_hash=digest(key_id))
    answered = told.value("grpc_server_handled_total", grpc_method="Encrypt", grpc_code="OK")
    return encrypted, answered


def test_numbers_of_keys_outlive_the_server_and_those_of_calls_do_not(appliance: Appliance) -> None:
    with appliance:
        appliance.start()
        key_id = appliance.wait_ready()
        with connected(appliance.socket) as client:
            for _ in range(3):
                client.encrypt(b"seed")
        before = scraped(appliance)
        assert numbers(before, key_id) == (3, 3)
        appliance.stop()
        appliance.start()
        assert appliance.wait_ready() == key_id
        after = scraped(appliance)
        assert numbers(after, key_id) == (3, 0)
        began = "process_start_time_seconds"
        assert (after.value(began) or 0) > (before.value(began) or 0)


def test_it_is_told_what_it_was_built_of_and_promtool_likes_it(appliance: Appliance) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "run `make system prometheus`"
    with appliance:
        appliance.start()
        appliance.wait_ready()
        told = scraped(appliance)
        version = json.loads(appliance.run("version", "-o", "json").stdout)
    command = [promtool, "check", "metrics"]
    done = subprocess.run(command, input=told.text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    ((build, _),) = told.of_name("kleidi_build_info")
    libraries = version["libraries"]
    assert build == {
        **{name: version[name] for name in ("version", "revision", "softhsm", "python")},
        **{name.lower(): libraries[name] for name in ("PyKCS11", "cryptography", "grpcio")},
    }
