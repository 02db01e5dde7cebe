"""The cast: one etcd and one appliance for the whole run, and as many API servers as a test asks for."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance import engines
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.rig import CONFIG, Appliance
from tests.transit.openbao import Node, single
from tests.usage.authority import Authority


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "appliance" in metafunc.fixturenames and getattr(metafunc.module, "EVERY_ENGINE", False):
        metafunc.parametrize("appliance", engines.ENGINES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def secretserver() -> SecretServer:
    return SecretServer.obtain()


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    etcd = Etcd(tmp_path_factory.mktemp("etcd"))
    with contextlib.ExitStack() as exits:
        exits.callback(etcd.stop)
        etcd.start()
        yield etcd


@pytest.fixture(scope="session")
def make_appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Appliance]]:
    """Appliances not started yet, each with a volume of its own; closed at the end of the run."""
    with contextlib.ExitStack() as exits:

        def make(provision: str = "auto", **settings: str) -> Appliance:
            directory = tmp_path_factory.mktemp("appliance")
            return exits.enter_context(Appliance(directory, CONFIG, provision=provision, **settings))

        yield make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="session")
def bao(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A Transit server alone."""
    with single(tmp_path_factory.mktemp("bao") / "one", authority) as node:
        yield node


@pytest.fixture(scope="session")
def appliance(
    request: pytest.FixtureRequest,
    make_appliance: Callable[..., Appliance],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Appliance]:
    """The appliance most tests share. Whoever stops it, starts it again.

    Its keys are SoftHSM's, unless its module asks for every engine.
    """
    with engines.told(getattr(request, "param", "softhsm"), request, tmp_path_factory) as settings:
        appliance = make_appliance(**settings)
        appliance.start()
        appliance.wait_ready()
        yield appliance
        appliance.stop()


@pytest.fixture
def key_id(appliance: Appliance) -> str:
    return appliance.wait_ready()


@pytest.fixture
def kms(appliance: Appliance) -> Kms:
    return Kms("kleidi", appliance.socket)


@pytest.fixture
def stage(secretserver: SecretServer, etcd: Etcd, tmp_path: Path) -> Iterator[Stage]:
    with Stage(secretserver, etcd, tmp_path) as stage:
        yield stage
