"""Keys that lie elsewhere, under the API server's own code: kept there, moved there, and moved back."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conformance import engines
from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.conformance.test_rotation import EXPECTED, POLL_SECONDS, Load, load, migrate, uses
from tests.rig import Appliance
from tests.transit.node import admitted
from tests.transit.openbao import Cluster, Node, three
from tests.usage.authority import Authority

pytestmark = pytest.mark.slow

MakeAppliance = Callable[..., Appliance]


@pytest.fixture
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with three(tmp_path_factory.mktemp("bao") / "three", authority) as nodes:
        yield nodes


def running(appliance: Appliance) -> Appliance:
    appliance.start()
    appliance.wait_ready()
    return appliance


def do(appliance: Appliance, *arguments: str) -> str:
    done = appliance.run(*arguments)
    assert done.returncode == 0, f"kleidi {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def move(appliance: Appliance, engine: str, name: str) -> str:
    """Let that *engine* make the key *name* and encrypt with it; its id."""
    do(appliance, "key", "stage", "--engine", engine)
    do(appliance, "key", "promote", name)
    return appliance.wait_ready()


def wrote(stage: Stage, appliance: Appliance) -> None:
    server = stage.apiserver(Kms("kleidi", appliance.socket))
    for name, value in EXPECTED.items():
        server.create_secret(name, value)
    fresh = stage.apiserver(Kms("kleidi", appliance.socket))
    assert fresh.secrets() == EXPECTED
    assert appliance.status().key_id.encode() in fresh.stored("kept-0")


@pytest.mark.parametrize("there", ["transit", "nss"])
def test_secrets_move_there_and_back_under_load_and_nothing_fails(
    there: str,
    stage: Stage,
    make_appliance: MakeAppliance,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with engines.told(there, request, tmp_path_factory) as settings:
        engine = settings["engine"]
        _there_and_back(engine, stage, running(make_appliance(**settings | {"engine": "softhsm"})))


def _there_and_back(there: str, stage: Stage, appliance: Appliance) -> None:
    kms, ids = Kms("kleidi", appliance.socket), [appliance.wait_ready()]
    server = stage.apiserver(kms)
    for name, value in EXPECTED.items():
        server.create_secret(name, value)
    with load([server]) as under:
        for engine, name in ((there, "v2"), ("softhsm", "v3")):
            ids.append(move(appliance, engine, name))
            eventually(partial(uses, server, ids[-1], "kept-0"), within=POLL_SECONDS, explain=server.tail)
            migrate(server)
            assert not under.errors
    assert len(set(ids)) == 3
    assert stage.apiserver(kms).secrets() == EXPECTED
    listed = do(appliance, "key", "list")
    assert "ENGINE" in listed
    for name in ("v1", "v2"):
        do(appliance, "key", "disable", name, "--stored", "0")
    assert stage.apiserver(kms).secrets() == EXPECTED, "nothing needs them any more"
    appliance.stop()


def test_two_nodes_that_begin_in_transit_share_one_key_and_no_bundle(
    stage: Stage, bao: Node, make_appliance: MakeAppliance, tmp_path: Path
) -> None:
    bao.create_key("shared")
    nodes = [
        running(make_appliance(engine="transit", **admitted(bao, tmp_path / name, key="shared")))
        for name in ("one", "two")
    ]
    one, two = nodes
    assert one.wait_ready() == two.wait_ready(), "the lineage and the fingerprint are the key's own"
    wrote(stage, one)
    assert stage.apiserver(Kms("kleidi", two.socket)).secrets() == EXPECTED
    # One that comes later takes up what is the latest then, and each finds the other's when it is asked for.
    bao.rotate("shared")
    late = running(make_appliance(engine="transit", **admitted(bao, tmp_path / "late", key="shared")))
    assert "/v2/" in late.wait_ready()
    server = stage.apiserver(Kms("kleidi", late.socket))
    assert server.secrets() == EXPECTED
    server.create_secret("later", "value")
    assert stage.apiserver(Kms("kleidi", one.socket)).secret("later") == "value"
    states = [line.split()[:2] for line in do(one, "key", "list").splitlines()[1:]]
    assert states == [["v1", "primary"], ["v2", "staged"]]


def test_the_leaders_death_under_load_fails_no_call(
    stage: Stage, cluster: Cluster, make_appliance: MakeAppliance, tmp_path: Path
) -> None:
    leader = cluster.leader()
    addresses = [leader.address, *(node.address for node in cluster.nodes if node is not leader)]
    settings = admitted(leader, tmp_path / "login", addresses)
    appliance = running(make_appliance(engine="transit", **settings))
    wrote(stage, appliance)
    server = stage.apiserver(Kms("kleidi", appliance.socket))
    running_load: Load
    with load([server]) as running_load, contextlib.ExitStack() as exits:
        exits.callback(leader.cont)
        leader.kill()
        before = running_load.done
        eventually(lambda: running_load.done > before + 100, within=60, explain=appliance.log)
    assert appliance.status().healthz == "ok"
    assert stage.apiserver(Kms("kleidi", appliance.socket)).secrets() == EXPECTED


def test_during_an_outage_writes_go_on_under_the_seed_and_reads_come_from_memory(
    stage: Stage, bao: Node, make_appliance: MakeAppliance, tmp_path: Path
) -> None:
    bao.create_key("outage")
    settings = admitted(bao, tmp_path / "login", key="outage")
    appliance = running(make_appliance(engine="transit", **settings))
    server = stage.apiserver(Kms("kleidi", appliance.socket))
    server.create_secret("before", "one")
    bao.seal()
    eventually(lambda: "E-TRANSIT-SEALED" in appliance.status().healthz, within=30, explain=appliance.log)
    server.create_secret("meanwhile", "two")
    assert (server.secret("before"), server.secret("meanwhile")) == ("one", "two")
    assert "E-TRANSIT-SEALED" in do_fail(appliance, "status")
    bao.unseal()
    bao.wait_active()
    appliance.wait_ready()
    fresh = stage.apiserver(Kms("kleidi", appliance.socket))
    assert fresh.secrets() == {"before": "one", "meanwhile": "two"}


def do_fail(appliance: Appliance, *arguments: str) -> str:
    done = appliance.run(*arguments)
    assert done.returncode != 0
    return done.stdout
