"""A fault fires its alert on the real Prometheus, and what mends the fault clears it."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest

from tests.conformance.patience import eventually
from tests.monitoring.prometheus import Bridge, Prometheus
from tests.rig import Appliance
from tests.service.client import connected, refused

FIRE_SECONDS = 120


@pytest.fixture
def own(make_appliance: Callable[..., Appliance], tmp_path: Path) -> Iterator[Appliance]:
    appliance = make_appliance(slot="file", seal_key_file=str(tmp_path / "seal.key"))
    appliance.start()
    appliance.wait_ready()
    yield appliance
    appliance.stop()


@pytest.fixture
def prometheus(own: Appliance, tmp_path: Path) -> Iterator[Prometheus]:
    bridge = Bridge(own.admin.with_name("health.sock"))
    running = Prometheus(tmp_path, bridge.address, [])
    yield running
    running.stop()
    bridge.close()


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
