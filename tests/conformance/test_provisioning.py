"""The API server is there first."""

from collections.abc import Callable

import pytest

from tests.conformance.apiserver import RefusedError
from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.rig import Appliance

# While unhealthy the API server asks every ten seconds; while it cannot dial, a little less often each time.
RECOVERY_SECONDS = 120


def test_health_names_our_reason_until_the_appliance_is_provisioned_and_then_heals_by_itself(
    stage: Stage, make_appliance: Callable[..., Appliance]
) -> None:
    appliance = make_appliance(provision="never")
    appliance.start()
    eventually(appliance.socket.exists, within=60)
    server = stage.apiserver(Kms("kleidi", appliance.socket), ready=False)

    eventually(lambda: "E-" in server.kms_health().text, within=60, explain=server.tail)
    assert server.kms_health().status == 500
    assert server.readyz().status == 500
    assert "E-" in server.log()
    with pytest.raises(RefusedError) as refused:
        server.create_secret("early", "value")
    assert refused.value.status == 500

    done = appliance.run("provision", env={"KLEIDI_PROVISION": "auto"})
    assert done.returncode == 0, done.stdout + done.stderr

    key_id = appliance.wait_ready()
    server.wait_ready(RECOVERY_SECONDS)
    server.create_secret("one", "value")
    assert server.secret("one") == "value"
    assert key_id.encode() in server.stored("one")


def test_an_api_server_that_started_before_there_was_a_socket_heals_by_itself(
    stage: Stage, make_appliance: Callable[..., Appliance]
) -> None:
    appliance = make_appliance()
    server = stage.apiserver(Kms("kleidi", appliance.socket), ready=False)
    assert server.kms_health().status == 500

    appliance.start()
    appliance.wait_ready()

    server.wait_ready(RECOVERY_SECONDS)
    server.create_secret("one", "value")
    assert server.secret("one") == "value"
