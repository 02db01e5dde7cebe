"""The EncryptionConfiguration changes under a running API server, which looks at the file once a minute."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Identity, Kms
from tests.conformance.etcd import Etcd
from tests.conformance.patience import eventually
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.rig import Appliance

pytestmark = pytest.mark.slow

RELOAD_SECONDS = 180
RELOADS = "apiserver_encryption_config_controller_automatic_reloads_total"


@dataclass(frozen=True)
class Scene:
    """Three API servers whose files changed at the same time, so that the minute is waited for once."""

    kms: Kms
    successor: Kms
    newcomer: ApiServer
    mover: ApiServer
    careless: ApiServer


@pytest.fixture(scope="module")
def scene(
    secretserver: SecretServer,
    etcd: Etcd,
    appliance: Appliance,
    make_appliance: Callable[..., Appliance],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    other = make_appliance()
    other.start()
    other.wait_ready()
    kms, successor = Kms("kleidi", appliance.socket), Kms("successor", other.socket)
    with Stage(secretserver, etcd, tmp_path_factory.mktemp("reload")) as stage:
        newcomer = stage.apiserver(Identity(), prefix=f"{stage.prefix}-newcomer")
        mover = stage.apiserver(kms, prefix=f"{stage.prefix}-mover")
        careless = stage.apiserver(kms, prefix=f"{stage.prefix}-careless")
        for server in (newcomer, mover, careless):
            server.create_secret("before", "value")
        newcomer.configure([kms, Identity()])
        mover.configure([successor, kms])
        careless.configure([Kms("nobody", Path("/nonexistent/kleidi.sock")), kms])
        yield Scene(kms, successor, newcomer, mover, careless)


def wait_for_reload(server: ApiServer, status: str) -> None:
    eventually(lambda: server.metric(RELOADS, status=status) > 0, within=RELOAD_SECONDS, explain=server.tail)


def test_encryption_begins_without_a_restart_and_plaintext_stays_readable(scene: Scene) -> None:
    server = scene.newcomer
    assert b"value" in server.stored("before")
    wait_for_reload(server, "success")

    server.create_secret("after", "value")

    assert server.stored("after").startswith(scene.kms.prefix)
    assert server.secrets() == {"before": "value", "after": "value"}
    assert server.kms_health().status == 200


def test_another_appliance_takes_over_without_a_restart(scene: Scene) -> None:
    server = scene.mover
    assert server.stored("before").startswith(scene.kms.prefix)
    wait_for_reload(server, "success")

    assert server.secret("before") == "value"
    server.replace_secret("before", "value")
    server.create_secret("after", "value")

    assert server.stored("before").startswith(scene.successor.prefix)
    assert server.stored("after").startswith(scene.successor.prefix)


def test_a_configuration_that_cannot_work_leaves_the_old_one_in_place(scene: Scene) -> None:
    server = scene.careless
    wait_for_reload(server, "failure")

    server.create_secret("after", "value")

    assert server.stored("after").startswith(scene.kms.prefix)
    assert server.secrets() == {"before": "value", "after": "value"}
