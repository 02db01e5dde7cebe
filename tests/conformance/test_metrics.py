"""The API server's own series and ours join: both have one hash for a key id, and count the same calls."""

from collections.abc import Callable, Iterator

import pytest

from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.rig import Appliance
from tests.telemetry.scraped import Scraped

HEARD = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds"
CALLS = "apiserver_envelope_encryption_kms_operations_latency_seconds_count"


@pytest.fixture
def own(make_appliance: Callable[..., Appliance]) -> Iterator[Appliance]:
    """One whose calls nobody else makes."""
    appliance = make_appliance()
    appliance.start()
    appliance.wait_ready()
    yield appliance
    appliance.stop()


def scraped(appliance: Appliance) -> Scraped:
    return Scraped.of(appliance.admin.with_name("health.sock"))


def primary(appliance: Appliance) -> str:
    told = scraped(appliance).of_name("kleidi_key_info")
    (hashed,) = [labels["key_id_hash"] for labels, _ in told if labels["state"] == "primary"]
    return hashed


def test_both_have_one_hash_for_a_key_id_and_count_the_same_calls(own: Appliance, stage: Stage) -> None:
    server = stage.apiserver(Kms("kleidi", own.socket))
    server.create_secret("joined", "value")
    assert server.metric(HEARD, provider_name="kleidi", key_id_hash=primary(own)) > 0
    encrypt = {"method_name": "/v2.KeyManagementService/Encrypt", "grpc_status_code": "OK"}
    told = scraped(own).value("grpc_server_handled_total", grpc_method="Encrypt", grpc_code="OK")
    assert told == server.metric(CALLS, provider_name="kleidi", **encrypt) > 0


@pytest.mark.slow
def test_the_hash_of_a_new_primary_key_is_the_one_that_the_api_server_hears(
    own: Appliance, stage: Stage
) -> None:
    server = stage.apiserver(Kms("kleidi", own.socket))
    before = primary(own)
    assert own.run("key", "rotate").returncode == 0
    after = primary(own)
    assert after != before
    eventually(lambda: server.metric(HEARD, provider_name="kleidi", key_id_hash=after), within=120)
