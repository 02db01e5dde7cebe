"""A fault fires its alert on the real Prometheus, and what mends the fault clears it."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import grpc
import pytest

from appliance.age.key_pairs import Identities
from appliance.manifests.monitoring import dashboard
from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.monitoring.prometheus import WINDOW, Prometheus, scraping
from tests.rig import Appliance
from tests.service.client import connected, refused

FIRE_SECONDS = 120
WINDOW_SECONDS = int(WINDOW.removesuffix("s"))
# The server of these tests has the API server's storage, and not the rest of it.
NOT_HERE = "kubernetes_healthcheck"
ROOMY = 64 << 20  # bytes


@pytest.fixture
def own(make_appliance: Callable[..., Appliance], tmp_path: Path) -> Iterator[Appliance]:
    appliance = make_appliance(slot="file", seal_key_file=str(tmp_path / "seal.key"))
    appliance.start()
    appliance.wait_ready()
    yield appliance
    appliance.stop()


@pytest.fixture
def prometheus(own: Appliance, tmp_path: Path) -> Iterator[Prometheus]:
    with scraping(own, tmp_path) as running:
        yield running


def fires(prometheus: Prometheus, name: str) -> dict[str, str]:
    """The alert's annotations, once it fires."""
    eventually(lambda: name in prometheus.firing(), within=FIRE_SECONDS)
    annotations: dict[str, str] = prometheus.firing()[name]["annotations"]
    return annotations


def clears(prometheus: Prometheus, name: str) -> None:
    eventually(lambda: prometheus.asked("up == 1") and name not in prometheus.firing(), within=FIRE_SECONDS)


def test_a_seal_key_that_is_gone(prometheus: Prometheus, own: Appliance, tmp_path: Path) -> None:
    assert own
    kept = (tmp_path / "seal.key").rename(tmp_path / "elsewhere")
    told = fires(prometheus, "KleidiDegraded")
    assert told["runbook_url"] == "docs/errors.md#e-seal-key-gone"
    kept.rename(tmp_path / "seal.key")
    clears(prometheus, "KleidiDegraded")


def starts(prometheus: Prometheus) -> list[str]:
    return [each["value"][1] for each in prometheus.asked("process_start_time_seconds")]


def test_a_server_that_is_killed_again_and_again(prometheus: Prometheus, own: Appliance) -> None:
    for _ in range(3):
        seen = eventually(partial(starts, prometheus), within=FIRE_SECONDS)
        own.kill("kms")
        own.wait_ready()
        eventually(partial(started_anew, prometheus, seen), within=FIRE_SECONDS)
    fires(prometheus, "KleidiRestarting")
    clears(prometheus, "KleidiRestarting")


def started_anew(prometheus: Prometheus, seen: list[str]) -> bool:
    return starts(prometheus) not in ([], seen)


def test_a_key_id_that_was_never_here(prometheus: Prometheus, own: Appliance) -> None:
    eventually(lambda: prometheus.asked("kleidi_call_refusals_total"), within=FIRE_SECONDS)
    with connected(own.socket) as client:
        sealed = client.encrypt(b"seed")
        foreign = sealed.key_id[:-1] + ("0" if sealed.key_id[-1] != "0" else "1")
        assert refused(lambda: client.decrypt(foreign, sealed.ciphertext)).code is grpc.StatusCode.NOT_FOUND
    told = fires(prometheus, "KleidiUnknownKey")
    assert told["runbook_url"] == "docs/errors.md#e-key-unknown"
    clears(prometheus, "KleidiUnknownKey")


def test_an_api_server_that_lags_behind_a_rotation_and_one_that_has_caught_up(
    own: Appliance, stage: Stage, tmp_path: Path
) -> None:
    """It asks once a minute; once it has heard, nothing is left, whatever a window holds."""
    server = stage.apiserver(Kms("kleidi", own.socket))
    server.create_secret("one", "value")
    with scraping(own, tmp_path, server.address) as prometheus:
        eventually(lambda: prometheus.asked('up{job="apiserver"} == 1'), within=FIRE_SECONDS)
        eventually(lambda: prometheus.asked('up{job="kleidi"} == 1'), within=FIRE_SECONDS)
        assert own.run("key", "rotate").returncode == 0
        told = fires(prometheus, "KleidiApiServerOnOtherKey")
        assert server.address in told["summary"]
        clears(prometheus, "KleidiApiServerOnOtherKey")
        server.create_secret("two", "value")
        deadline = time.monotonic() + 2 * WINDOW_SECONDS
        while time.monotonic() < deadline:
            assert "KleidiApiServerOnOtherKey" not in prometheus.firing()
            time.sleep(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a volume")
def test_a_volume_that_is_full(make_appliance: Callable[..., Appliance], tmp_path: Path) -> None:
    appliance = make_appliance(slot="file", seal_key_file=str(tmp_path / "seal.key"))
    appliance.volume.mkdir(parents=True)
    size = f"size={ROOMY >> 20}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "kleidi-test", appliance.volume], check=True)
    try:
        appliance.start()
        appliance.wait_ready()
        with scraping(appliance, tmp_path) as prometheus:
            eventually(lambda: prometheus.asked("kleidi_volume_free_bytes"), within=FIRE_SECONDS)
            assert "KleidiVolumeFilling" not in prometheus.firing()
            ballast = appliance.volume / ".tmp-ballast"
            with suppress(OSError), ballast.open("wb") as file:
                for _ in range(ROOMY >> 20):
                    file.write(bytes(1 << 20))
            told = fires(prometheus, "KleidiVolumeFilling")
            assert told["runbook_url"].startswith("docs/")
            # What is there is served all the same.
            assert appliance.status().healthz == "ok"
            ballast.unlink()
            clears(prometheus, "KleidiVolumeFilling")
    finally:
        appliance.stop()
        subprocess.run(["umount", "--lazy", appliance.volume], check=True)


def lived(appliance: Appliance, directory: Path) -> None:
    """What an operator does in a year: a backup that is verified, a slot that is tested."""
    identities = Identities.generate()
    identity, bundle = directory / "identity", str(directory / "bundle.age")
    identity.write_text("\n".join(identities.secrets))
    for words in (
        ("backup", "create", bundle, "--to", identities.recipients.names[0]),
        ("backup", "verify", bundle, "--identity", str(identity)),
        ("slot", "test", "file", "--key-file", str(directory / "seal.key")),
    ):
        done = appliance.run(*words)
        assert done.returncode == 0, done.stderr


def test_every_panel_of_the_dashboard_answers(own: Appliance, stage: Stage, tmp_path: Path) -> None:
    server = stage.apiserver(Kms("kleidi", own.socket))
    server.create_secret("shown", "value")
    lived(own, tmp_path)
    with scraping(own, tmp_path, server.address) as prometheus, connected(own.socket) as client:
        sealed = client.encrypt(b"seed")
        assert own.run("key", "rotate").returncode == 0
        for _ in range(5):  # a rate needs what changes
            assert client.decrypt(sealed.key_id, sealed.ciphertext) == b"seed"
            assert own.run("key", "list").returncode == 0
            server.replace_secret("shown", "another value")
            time.sleep(1)

        def silent() -> list[str]:
            return [
                f"{panel.title}: {query.expression}"
                for row in dashboard.ROWS
                for panel in row.panels
                for query in panel.queries
                if not panel.empty
                and NOT_HERE not in query.expression
                and not prometheus.asked(query.expression.replace("$__rate_interval", WINDOW))
            ]

        eventually(lambda: not silent(), within=FIRE_SECONDS, explain=lambda: "\n".join(silent()))
