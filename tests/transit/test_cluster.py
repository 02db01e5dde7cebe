"""Three servers of one cluster: one dies, hangs or is left alone, and no call fails."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from appliance.engines.transit import TransitEngine
from appliance.keys.engine import AwayError, Made
from tests.conformance.patience import eventually
from tests.transit.conftest import MakeEngine, Site, beside, by_approle
from tests.transit.openbao import Cluster, Node

LANES = 4


@pytest.fixture
def site(cluster: Cluster, make_engine: MakeEngine, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Its first address is the leader's."""
    leader = cluster.leader()
    others = [node.address for node in cluster.nodes if node is not leader]
    directory = tmp_path_factory.mktemp("node")
    plain = beside(leader, directory, make_engine, leader.address, *others)
    return by_approle(plain, make_engine)


@pytest.fixture(autouse=True)
def _whole_again(cluster: Cluster) -> Iterator[None]:
    yield
    for node in cluster.nodes:
        node.cont()
        if node.health() is None:
            node.start()

        def able(node: Node = node) -> bool:
            node.ask("PUT", "sys/unseal", {"key": node.unseal_key}, token="")
            return node.health() in (200, 429)

        eventually(able, within=60, explain=node.log)
    cluster.leader()


def under_load(site: Site, disturb: Callable[[], None], seconds: float) -> float:
    """The longest call while *disturb* is done and some seconds after; none may fail."""
    made, done, longest = site.take(), threading.Event(), [0.0] * LANES
    settled = threading.Barrier(LANES + 1)

    def calls(lane: int) -> None:
        for _ in range(100):
            assert site.unwrap(made, site.wrap(made)) == bytes(32)
        settled.wait(30)
        while not done.is_set():
            began = time.monotonic()
            assert site.unwrap(made, site.wrap(made)) == bytes(32)
            longest[lane] = max(longest[lane], time.monotonic() - began)

    with ThreadPoolExecutor(LANES) as lanes:
        running = [lanes.submit(calls, lane) for lane in range(LANES)]
        try:
            # What the leader wrote last its followers apply at its next word: ours must not be the last.
            settled.wait(30)
            disturb()
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(each.done() for each in running):
                time.sleep(0.05)
        finally:
            done.set()
        for each in running:
            each.result()
    return max(longest)


def test_the_leader_is_killed(cluster: Cluster, site: Site) -> None:
    under_load(site, cluster.leader().kill, 3)
    assert cluster.leader().address in site.access.addresses


def test_the_leader_hangs(cluster: Cluster, site: Site) -> None:
    under_load(site, cluster.leader().stop, 3)


def test_the_leader_steps_down(cluster: Cluster, site: Site) -> None:
    leader = cluster.leader()
    under_load(site, leader.step_down, 2)


def test_the_leader_is_sealed(cluster: Cluster, site: Site) -> None:
    under_load(site, cluster.leader().seal, 2)


def test_every_node_serves_the_same_key(cluster: Cluster, site: Site, make_engine: MakeEngine) -> None:
    made = site.take()
    body = site.wrap(made)
    by_file: dict[str, Any] = {"auth": "token", "token_file": site.directory / "token"}
    for node in cluster.nodes:
        alone = make_engine(replace(site.access, **by_file, addresses=(node.address,)))
        alone.open(site.directory, made.state)
        # A node that was started a moment ago may not have caught up yet.
        eventually(partial(opens, alone, made, body), within=30)


def opens(engine: TransitEngine, made: Made, body: bytes) -> bool:
    try:
        return engine.unwrap(made.object_id, body, b"aad") == bytes(32)
    except AwayError:
        return False
