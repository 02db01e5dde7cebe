"""A key that another node took up in an engine that both share is found when the API server asks for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from appliance import faults
from appliance.keys import key_id as ids
from appliance.keys.envelope import Envelope, associated_data
from tests.service.client import Client, connected, refused
from tests.service.conftest import Start
from tests.service.running import Running
from tests.service.scene import LINEAGE, Scene
from tests.service.test_engines import move

SEED = b"thirty-two bytes of a seed, here"


@pytest.fixture
def shared(scene: Scene, start: Start) -> Running:
    """A server whose primary key is one of a remote engine."""
    scene.seal_one()
    running = start()
    running.wait_for("OPERATIONAL")
    move(running, "transit")
    running.wait_for("OPERATIONAL")
    return running


@pytest.fixture
def caller(shared: Running) -> Iterator[Client]:
    with connected(shared.scene.socket) as client:
        yield client


def elsewhere(running: Running, version: int, name: str = "theirs") -> tuple[str, bytes]:
    """A key that another node made there under that version: its id, and what it encrypted."""
    remote = running.scene.remote
    made = remote.generate(name)
    key_id = ids.compose(LINEAGE, version, ids.fingerprint(made.print_source))
    return key_id, Envelope(remote.wrap(name, SEED, associated_data(key_id))).to_bytes()


def states(running: Running) -> list[tuple[str, str]]:
    return [(key.name, key.state) for key in running.report().keys]


def test_it_is_taken_up_as_staged_and_decrypts_the_call_that_asked(shared: Running, caller: Client) -> None:
    key_id, envelope = elsewhere(shared, 3)
    assert caller.decrypt(key_id, envelope) == SEED
    assert states(shared) == [("v1", "retired"), ("v2", "primary"), ("v3", "staged")]
    assert shared.report().refused == []


def test_many_that_ask_at_once_get_it_by_one_look(shared: Running, caller: Client) -> None:
    key_id, envelope = elsewhere(shared, 3)
    with ThreadPoolExecutor(16) as pool:
        opened = list(pool.map(lambda _: caller.decrypt(key_id, envelope), range(50)))
    assert opened == [SEED] * 50
    assert shared.report().generation == 4


def test_versions_may_come_in_any_order(shared: Running, caller: Client) -> None:
    later, earlier = elsewhere(shared, 5, "later"), elsewhere(shared, 4, "earlier")
    assert caller.decrypt(*later) == SEED
    assert caller.decrypt(*earlier) == SEED
    assert [name for name, _ in states(shared)] == ["v1", "v2", "v4", "v5"]


def test_what_is_not_there_is_not_held_and_not_asked_for_again_at_once(
    shared: Running, caller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(shared.scene.remote, "find", lambda _state, print_: asked.append(print_))
    made_up = ids.compose(LINEAGE, 9, "0123456789ab")
    for _ in range(5):
        assert refused(lambda: caller.decrypt(made_up, b"\x01" + bytes(60))).code is grpc.StatusCode.NOT_FOUND
    assert asked == ["0123456789ab"]
    assert [row.sort for row in shared.report().refused] == ["missed"]


def test_another_keys_version_is_never_taken(shared: Running, caller: Client) -> None:
    key_id, envelope = elsewhere(shared, 2)
    assert refused(lambda: caller.decrypt(key_id, envelope)).code is grpc.StatusCode.NOT_FOUND
    assert states(shared) == [("v1", "retired"), ("v2", "primary")]


def test_of_another_lineage_nothing_is_looked_for(
    shared: Running, caller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.scene.remote, "find", lambda *_: pytest.fail("it was asked"))
    foreign = ids.compose("f" * 12, 3, "0123456789ab")
    assert refused(lambda: caller.decrypt(foreign, b"\x01" + bytes(60))).code is grpc.StatusCode.NOT_FOUND


def test_while_the_engine_is_away_it_is_not_held(shared: Running, caller: Client) -> None:
    key_id, envelope = elsewhere(shared, 3)
    shared.scene.remote.leave(faults.ENGINE_SLOW)
    assert refused(lambda: caller.decrypt(key_id, envelope)).code is grpc.StatusCode.NOT_FOUND
    assert len(states(shared)) == 2
