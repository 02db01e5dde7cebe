"""Keys change while calls come in: nothing fails, and nothing is told that does not hold."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from appliance import faults
from appliance.client import admin
from appliance.client.report import Changed
from appliance.faults import KleidiError
from appliance.keys.engine import EngineState
from appliance.ops.operations import Command, Verb
from proto.admin import admin_pb2
from tests.fakes import FakeEngine
from tests.service.client import Client, connected
from tests.service.conftest import Start
from tests.service.running import Running, until
from tests.service.scene import Scene

CALLS = 1000
SECRET = b"thirty-two bytes of a seed, here"


def change(running: Running, verb: Verb, key: str = "", **options: object) -> Changed:
    command = Command(verb, key, **options)  # type: ignore[arg-type]
    return admin.change(running.scene.admin, admin.change_request(command))


def fault_of(act: Callable[[], object]) -> faults.Fault:
    with pytest.raises(KleidiError) as caught:
        act()
    return caught.value.fault


@pytest.fixture(params=[True, False], ids=["waiting engine", "instant engine"])
def fresh(request: pytest.FixtureRequest, scene: Scene, start: Start) -> Running:
    """A server whose only key is the primary one."""
    scene.engine.waits = request.param
    scene.seal_one()
    running = start()
    running.wait_for("OPERATIONAL")
    return running


def test_a_rotation_is_served_at_once(fresh: Running) -> None:
    with connected(fresh.scene.socket) as caller:
        before = caller.encrypt(SECRET)
        changed = change(fresh, Verb.ROTATE)
        assert caller.status().key_id == caller.encrypt(SECRET).key_id == changed.key.key_id
        assert caller.open(before) == SECRET
    report = fresh.report()
    assert (report.generation, report.keyset) == (changed.generation, changed.keyset)
    assert [(key.state, key.wrapped, key.unwrapped) for key in report.keys] == [
        ("retired", 1, 1),
        ("primary", 1, 0),
    ]


@contextmanager
def hammered(running: Running) -> Iterator[list[tuple[str, str]]]:
    """Callers that ask Status and then Encrypt, again and again; what each pair said."""
    pairs: list[tuple[str, str]] = []
    enough = threading.Event()

    def ask() -> None:
        with connected(running.scene.socket) as caller:
            while not enough.is_set() or len(pairs) < CALLS:
                told = caller.status().key_id
                wrapped = caller.encrypt(SECRET)
                pairs.append((told, wrapped.key_id))
                assert caller.open(wrapped) == SECRET

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(ask) for _ in range(8)]
        try:
            until(lambda: len(pairs) > 50, "calls come in")
            yield pairs
        finally:
            enough.set()
            for each in callers:
                each.result()


def test_status_and_encrypt_agree_but_for_those_around_the_one_switch(fresh: Running) -> None:
    first = fresh.report().key_id
    with hammered(fresh) as pairs:
        second = change(fresh, Verb.ROTATE).key.key_id
    assert len(pairs) >= CALLS
    # Told one, sealed with the other: only from the old one to the new one, once for each caller.
    assert set(pairs) <= {(first, first), (first, second), (second, second)}
    assert len([pair for pair in pairs if pair == (first, second)]) <= 8
    assert {told for told, _ in pairs} == {first, second}


def test_a_caller_never_sees_the_old_key_after_the_new_one(fresh: Running) -> None:
    ids: list[str] = []
    enough = threading.Event()

    def ask() -> None:
        with connected(fresh.scene.socket) as caller:
            while not enough.is_set():
                ids.append(caller.encrypt(SECRET).key_id)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        rotated = [fresh.report().key_id, *(change(fresh, Verb.ROTATE).key.key_id for _ in range(5))]
        until(lambda: ids[-1] == rotated[-1], "the last key is in use")
    finally:
        enough.set()
        thread.join()
    seen = list(dict.fromkeys(ids))
    assert seen == [key_id for key_id in rotated if key_id in seen]
    assert sorted(ids, key=rotated.index) == ids


def test_calls_that_come_while_the_token_is_loaded_wait_and_none_fails(fresh: Running) -> None:
    opening, go_on = threading.Event(), threading.Event()
    engine, plain = fresh.scene.engine, FakeEngine.open

    def slowly(directory: Path, state: EngineState) -> None:
        opening.set()
        assert go_on.wait(30)
        plain(engine, directory, state)

    engine.open = slowly  # type: ignore[method-assign]
    with ThreadPoolExecutor(9) as pool, connected(fresh.scene.socket) as caller:
        staging = pool.submit(change, fresh, Verb.STAGE)
        assert opening.wait(30)
        waiting = [pool.submit(caller.encrypt, SECRET) for _ in range(8)]
        assert caller.status().healthz == "ok"
        assert not [each for each in waiting if each.done()]
        go_on.set()
        assert {each.result().key_id for each in waiting} == {fresh.report().key_id}
        assert staging.result().key.state == "staged"


def test_a_caller_that_hangs_up_does_not_stop_the_change(fresh: Running) -> None:
    channel = grpc.insecure_channel(f"unix:{fresh.scene.admin}")
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/kleidi.admin.v1.Admin/Change")
    request = admin.change_request(Command(Verb.ROTATE)).SerializeToString()
    proving, prove = threading.Event(), FakeEngine.prove

    def seen(*arguments: object) -> None:
        proving.set()
        prove(fresh.scene.engine, *arguments)  # type: ignore[arg-type]

    fresh.scene.engine.prove = seen  # type: ignore[method-assign,assignment]
    future = call.future(request, timeout=60)
    assert proving.wait(30)
    future.cancel()
    channel.close()
    until(lambda: [key.state for key in fresh.report().keys] == ["retired", "primary"], "it is switched")


def test_two_administrators_at_once_take_their_turns(fresh: Running) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: change(fresh, Verb.ROTATE), range(4)))
    assert sorted(each.generation for each in done) == [3, 5, 7, 9]
    assert len({each.key.key_id for each in done}) == 4


def test_a_switch_that_fails_is_told_and_heals_by_opening_anew(fresh: Running) -> None:
    with connected(fresh.scene.socket) as caller:
        before = caller.encrypt(SECRET)
        fresh.scene.engine.refuse(KleidiError(faults.TOKEN_LOST, "somebody took it"))
        assert fault_of(lambda: change(fresh, Verb.STAGE)) is faults.TOKEN_LOST
        fresh.wait_for("STARTING", faults.TOKEN_LOST.id)
        fresh.scene.engine.refuse(None)
        fresh.wait_for("OPERATIONAL")
        assert [key.state for key in fresh.report().keys] == ["primary", "staged"]
        assert caller.open(before) == SECRET


def test_what_is_refused_changes_nothing_and_says_why(fresh: Running) -> None:
    before = fresh.report()
    assert fault_of(lambda: change(fresh, Verb.PROMOTE, "v7")) is faults.KEY_NO_SUCH
    assert fault_of(lambda: change(fresh, Verb.DISABLE, "v1")) is faults.KEY_IS_PRIMARY
    assert fault_of(lambda: change(fresh, Verb.STAGE, expect_keyset="x")) is faults.KEYSET_DIFFERS
    assert fresh.report() == before


@pytest.mark.parametrize("verb", ["adopt", "", "explode", "STAGE"])
def test_a_verb_that_does_not_exist_is_refused(fresh: Running, verb: str) -> None:
    request = admin_pb2.ChangeRequest(verb=verb, key="v1")
    assert fault_of(lambda: admin.change(fresh.scene.admin, request)) is faults.REQUEST_INVALID


def test_checking_a_key_tells_each_condition(fresh: Running) -> None:
    change(fresh, Verb.ROTATE)
    reply = admin.check(fresh.scene.admin, admin.check_request("v1", 0))
    verdicts = {condition.name: condition.verdict for condition in reply.conditions}
    assert verdicts["nothing stored"] == "PASS"
    assert (reply.may_disable, reply.may_destroy) == (True, False)
    assert reply.destroy_why.startswith("E-KEY-STATE: ")
    assert (
        fault_of(lambda: admin.check(fresh.scene.admin, admin.check_request("v7", 0))) is faults.KEY_NO_SUCH
    )


def test_without_a_token_no_verb_is_tried(scene: Scene, client: Client) -> None:
    assert client.status().healthz == "ok"
    scene.engine.refuse(KleidiError(faults.TOKEN_LOST))
    scene.engine.lose()
    with pytest.raises(grpc.RpcError):
        client.encrypt(SECRET)
    until(lambda: admin.ask(scene.admin).state == "STARTING", "the token is lost")
    request = admin.change_request(Command(Verb.STAGE))
    assert fault_of(lambda: admin.change(scene.admin, request)) is faults.TOKEN_LOST
