"""The appliance goes and comes back; the API server is never touched."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.rig import Appliance

KILLS = 3
COAST_SECONDS = 20
# After an absence the API server's gRPC waits out its back-off before it dials again (facts: up to 144 s).
RECOVERY_SECONDS = 180


@pytest.fixture
def own(make_appliance: Callable[..., Appliance]) -> Appliance:
    """An appliance of the test's own, running and ready."""
    appliance = make_appliance()
    appliance.start()
    appliance.wait_ready()
    return appliance


def test_a_fresh_api_server_reads_old_secrets_after_the_appliance_restarted(
    stage: Stage, own: Appliance
) -> None:
    kms = Kms("kleidi", own.socket)
    before = own.wait_ready()
    server = stage.apiserver(kms)
    server.create_secret("one", "value")

    assert own.stop() == 0
    own.start()

    assert own.wait_ready() == before
    assert stage.apiserver(kms).secret("one") == "value"
    server.wait_ready(RECOVERY_SECONDS)
    server.create_secret("two", "value")
    assert server.secrets() == {"one": "value", "two": "value"}


def test_reads_and_writes_go_on_while_the_server_is_killed_again_and_again(
    stage: Stage, own: Appliance
) -> None:
    kms = Kms("kleidi", own.socket)
    key_id = own.wait_ready()
    server = stage.apiserver(kms)
    enough = threading.Event()

    with ThreadPoolExecutor() as pool:
        worker = pool.submit(_work_until, enough, server)
        try:
            for _ in range(KILLS):
                own.kill("kms")
                # The socket file of the killed server still lies there: only an answer counts.
                assert own.wait_ready() == key_id
        finally:
            enough.set()
        written = worker.result()

    assert written
    assert server.secrets() == written
    assert stage.apiserver(kms).secrets() == written


def _work_until(enough: threading.Event, server: ApiServer) -> dict[str, str]:
    """Write and read back without a pause; the first error ends it."""
    written: dict[str, str] = {}
    while not enough.is_set():
        name = f"secret-{len(written)}"
        server.create_secret(name, name)
        assert server.secret(name) == name
        written[name] = name
    return written


def test_reads_and_writes_coast_while_the_appliance_is_away(stage: Stage, own: Appliance) -> None:
    kms = Kms("kleidi", own.socket)
    server = stage.apiserver(kms)
    expected = {"before": "value"}
    server.create_secret("before", "value")

    assert own.stop() == 0
    ends = time.monotonic() + COAST_SECONDS
    while time.monotonic() < ends:
        name = f"during-{len(expected)}"
        server.create_secret(name, "value")
        expected[name] = "value"
        assert server.secrets() == expected
        time.sleep(0.5)
    # Its own verdict has become red meanwhile, which is the truth.
    eventually(lambda: server.kms_health().status != 200, within=60, explain=server.tail)

    own.start()
    own.wait_ready()
    server.wait_ready(RECOVERY_SECONDS)
    server.create_secret("after", "value")
    assert stage.apiserver(kms).secrets() == expected | {"after": "value"}
