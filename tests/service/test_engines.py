"""Two engines side by side: a call waits for its own key's engine, and one's trouble is not the other's."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import OffError
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import Client, Refusal, connected, refused
from tests.service.conftest import Start
from tests.service.running import Running, until
from tests.service.scene import Scene
from tests.service.test_change import change, fault_of

SEED = b"thirty-two bytes of a seed, here"
GONE, SHUT = faults.ENGINE_SLOW, faults.KEY_DISABLED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(params=[True, False], ids=["waiting engine", "instant engine"])
def local(request: pytest.FixtureRequest, scene: Scene, start: Start) -> Running:
    """A server whose only key is SoftHSM's."""
    scene.engine.waits = request.param
    scene.seal_one()
    running = start()
    running.wait_for("OPERATIONAL")
    return running


def move(running: Running, engine: str) -> str:
    """Let that *engine* make the next primary key, and give its id."""
    change(running, Verb.STAGE, engine=engine)
    staged = next(key for key in running.report().keys if key.state == "staged")
    changed = change(running, Verb.PROMOTE, staged.name)
    return changed.key.key_id


@pytest.fixture
def both(local: Running) -> Running:
    """Its primary key is the remote engine's, the one before it SoftHSM's."""
    move(local, "transit")
    local.wait_for("OPERATIONAL")
    return local


@pytest.fixture
def caller(local: Running) -> Iterator[Client]:
    with connected(local.scene.socket) as client:
        yield client


def healthz(client: Client) -> str:
    return client.status().healthz


class Load:
    """Callers that never stop: *failures* are what any of them met, *opened* how much came back as it was."""

    def __init__(self, running: Running, old: pb.EncryptResponse) -> None:
        self._running, self._old = running, old
        self._over = threading.Event()
        self.failures: list[str] = []
        self.opened = 0

    def _call(self) -> None:
        with connected(self._running.scene.socket) as client:
            while not self._over.is_set():
                try:
                    wrapped = client.encrypt(SEED)
                    assert client.open(wrapped) == client.open(self._old) == SEED
                    self.opened += 1
                except (grpc.RpcError, AssertionError) as error:
                    self.failures.append(repr(error))

    @contextmanager
    def under(self) -> Iterator[None]:
        with ThreadPoolExecutor(4) as pool:
            callers = [pool.submit(self._call) for _ in range(4)]
            try:
                yield
            finally:
                self._over.set()
        for each in callers:
            each.result()


def test_keys_move_there_and_back_under_load_and_no_call_fails(local: Running, caller: Client) -> None:
    load = Load(local, caller.encrypt(SEED))
    ids = [caller.status().key_id]
    with load.under():
        for engine in ("transit", "softhsm", "transit", "transit"):
            ids.append(move(local, engine))
            before = load.opened
            until(lambda before=before: load.opened > before + 20 or load.failures, "calls go on")  # type: ignore[misc]
    assert load.failures == []
    assert len(set(ids)) == 5
    assert caller.status().key_id == ids[-1]
    engines = [key.engine for key in local.report().keys]
    assert engines == ["softhsm", "transit", "softhsm", "transit", "transit"]
    told = [(each.name, each.remote, each.keys, each.away) for each in local.report().engines]
    assert told == [("transit", True, 3, None), ("softhsm", False, 2, None)]


def test_while_it_is_away_its_keys_refuse_at_once_with_the_reason_and_the_others_serve(
    both: Running, caller: Client
) -> None:
    engine = both.scene.remote
    new = caller.encrypt(SEED)
    engine.leave(GONE, "a detail for our log only")
    assert refused(lambda: caller.encrypt(SEED, "u")) == Refusal(UNAVAILABLE, f"{GONE} uid=u")
    both.wait_for("DEGRADED", GONE.id)
    # The key id stays: the API server goes on under the seed that was proved.
    assert (healthz(caller), caller.status().key_id) == (str(GONE), new.key_id)
    (away,) = [each for each in both.report().engines if each.away]
    assert (away.name, away.away and away.away.id, away.since > 0) == ("transit", GONE.id, True)
    before = engine.calls
    assert refused(lambda: caller.open(new)).code is UNAVAILABLE
    engine.come_back()
    both.wait_for("OPERATIONAL")
    assert caller.open(new) == SEED
    assert engine.calls > before
    assert both.scene.engine.openings == 1, "its trouble closed no other's token"


def test_keys_in_the_seal_decrypt_whatever_becomes_of_the_remote_engine(
    local: Running, caller: Client
) -> None:
    old = caller.encrypt(SEED)
    move(local, "transit")
    for trouble in ("away", "hanging"):
        if trouble == "away":
            local.scene.remote.leave(GONE)
        else:
            local.scene.remote.come_back()
            local.wait_for("OPERATIONAL")
            local.scene.remote.hang()
            hung = [
                caller.stub.Encrypt.future(pb.EncryptRequest(plaintext=SEED), timeout=60) for _ in range(9)
            ]
            local.scene.remote.wait_until_hanging()
        for _ in range(20):
            assert caller.open(old) == SEED
    local.scene.remote.release()
    assert len({each.result().ciphertext for each in hung}) == 9


def test_a_queue_that_is_full_is_its_own_engines(scene: Scene, start: Start) -> None:
    running = start(queue_size=16)
    running.wait_for("OPERATIONAL")
    with connected(scene.socket) as caller:
        old = caller.encrypt(SEED)
        move_staged(running)
        scene.remote.hang()
        calls = [caller.stub.Encrypt.future(pb.EncryptRequest(plaintext=SEED), timeout=60) for _ in range(30)]
        until(lambda: sum(call.done() for call in calls) == 14, "what is beyond the queue is refused")
        assert caller.open(old) == SEED
        scene.remote.release()
        assert sum(call.code() is grpc.StatusCode.OK for call in calls) == 16


def move_staged(running: Running) -> None:
    """A scene has a staged key, of which there may be one."""
    staged = next(key for key in running.report().keys if key.state == "staged")
    change(running, Verb.RETIRE, staged.name)
    move(running, "transit")


def test_an_engine_that_hangs_is_told_of_before_it_answers(scene: Scene, start: Start) -> None:
    running = start(call_seconds=0.2)
    running.wait_for("OPERATIONAL")
    move_staged(running)
    with connected(scene.socket) as caller:
        scene.remote.hang()
        assert refused(lambda: caller.encrypt(SEED)).code is UNAVAILABLE
        running.wait_for("DEGRADED", faults.ENGINE_SLOW.id)
        scene.remote.release()
        running.wait_for("OPERATIONAL")
        assert caller.open(caller.encrypt(SEED)) == SEED


def restart(running: Running, start: Start, **options: float) -> Running:
    running.stop()
    return start(**options)


def test_with_the_primary_keys_engine_away_at_the_start_the_others_serve_and_nothing_is_announced(
    both: Running, start: Start, caller: Client
) -> None:
    new = caller.encrypt(SEED)
    both.scene.remote.leave(GONE)
    old_key = next(key for key in both.report().keys if key.engine == "softhsm")
    running = restart(both, start)
    with connected(running.scene.socket) as again:
        until(lambda: running.report().reason_id == GONE.id, "it tells why")
        assert refused(again.status) == Refusal(UNAVAILABLE, str(GONE))
        assert refused(lambda: again.encrypt(SEED)).code is UNAVAILABLE
        assert [key.key_id for key in running.report().keys if key.engine == "softhsm"] == [old_key.key_id]
        running.scene.remote.come_back()
        running.wait_for("OPERATIONAL")
        assert again.status().key_id == new.key_id
        assert again.open(new) == SEED


def test_from_an_engine_that_is_away_one_can_move_on(both: Running, start: Start, caller: Client) -> None:
    del caller
    both.scene.remote.leave(GONE)
    running = restart(both, start)
    until(lambda: running.report().reason_id == GONE.id, "it tells why")
    key_id = move(running, "softhsm")
    running.wait_for("DEGRADED", GONE.id)
    with connected(running.scene.socket) as again:
        assert again.status().key_id == key_id
        assert again.open(again.encrypt(SEED)) == SEED


def test_a_key_of_an_engine_that_is_away_is_neither_made_nor_promoted(local: Running, caller: Client) -> None:
    local.scene.remote.leave(GONE)
    before = local.report()
    assert fault_of(lambda: change(local, Verb.STAGE, engine="transit")) is GONE
    local.scene.remote.come_back()
    staged = change(local, Verb.STAGE, engine="transit").key
    local.scene.remote.leave(GONE)
    assert fault_of(lambda: change(local, Verb.PROMOTE, staged.name)) is GONE
    assert caller.status().key_id == before.key_id
    # What has nothing to do with it is not hindered.
    assert change(local, Verb.RETIRE, staged.name).key.state == "retired"


def test_an_engine_that_this_version_has_not_is_refused_by_name(local: Running) -> None:
    assert fault_of(lambda: change(local, Verb.STAGE, engine="enigma")) is faults.ENGINE_UNKNOWN


def test_a_primary_key_that_is_off_stops_writes_and_one_that_is_retired_does_not(
    both: Running, caller: Client
) -> None:
    new = caller.encrypt(SEED)
    remote = both.scene.remote
    (name,) = remote.keys
    remote.off[name] = OffError(SHUT, "forbidden there")
    assert refused(lambda: caller.encrypt(SEED)).code is FAILED_PRECONDITION
    until(lambda: both.report().reason_id == SHUT.id, "it tells why")
    assert refused(caller.status) == Refusal(FAILED_PRECONDITION, str(SHUT))
    primary = move(both, "softhsm")
    both.wait_for("DEGRADED", faults.KEY_SWITCHED_OFF.id)
    assert caller.status().key_id == primary
    assert refused(lambda: caller.open(new)).code is FAILED_PRECONDITION
    remote.off.clear()
    both.wait_for("OPERATIONAL")
    assert caller.open(new) == SEED


def test_what_it_warns_of_is_told_and_hurts_no_call(local: Running, caller: Client) -> None:
    local.scene.remote.warnings = {faults.SEAL_KEY_GONE: "as good as any warning"}
    move(local, "transit")
    local.wait_for("DEGRADED", faults.SEAL_KEY_GONE.id)
    assert healthz(caller) == "ok"


def test_another_key_under_its_name_is_never_announced(both: Running, caller: Client) -> None:
    del caller
    (name,) = both.scene.remote.keys
    both.scene.remote.exchange(name)
    with connected(both.scene.socket) as again:
        again.encrypt(SEED)
        both.scene.remote.leave(GONE)
        refused(lambda: again.encrypt(SEED))
        both.wait_for("DEGRADED", GONE.id)
        both.scene.remote.come_back()
        until(lambda: both.report().reason_id == faults.PRIMARY_WRONG.id, "the known answer tells")
        assert refused(again.status).code is FAILED_PRECONDITION


def test_the_probe_never_waits_behind_calls(both: Running, caller: Client) -> None:
    remote = both.scene.remote
    looks: list[float] = []
    plain = remote.unwrap

    def seen(key: str, body: bytes, aad: bytes) -> bytes:
        if threading.current_thread().name.startswith("transit-watch"):
            looks.append(time.monotonic())
        return plain(key, body, aad)

    remote.unwrap = seen  # type: ignore[method-assign]
    remote.leave(GONE)
    assert refused(lambda: caller.encrypt(SEED)).code is UNAVAILABLE
    until(lambda: looks or both.report().reason_id == GONE.id, "it is looked at")
    remote.come_back()
    both.wait_for("OPERATIONAL")
    until(lambda: looks, "on a thread of its own")


def test_a_token_that_does_not_open_leaves_the_remote_engine_serving(
    both: Running, start: Start, caller: Client
) -> None:
    new, engine = caller.encrypt(SEED), both.scene.engine
    (old,) = [key.key_id for key in both.report().keys if key.engine == "softhsm"]
    engine.refuse(KleidiError(faults.MODULE_MISSING))
    running = restart(both, start, probe_seconds=0.02)
    with connected(running.scene.socket) as again:
        running.wait_for("DEGRADED", faults.ENGINE_SHUT.id)
        assert again.open(new) == SEED
        text = f"{faults.MODULE_MISSING} uid=u"
        envelope = running.scene.wrap(KeyState.PRIMARY, SEED)
        assert refused(lambda: again.decrypt(old, envelope, "u")) == Refusal(UNAVAILABLE, text)
        engine.refuse(None)
        running.wait_for("OPERATIONAL")
        assert again.decrypt(old, envelope) == SEED
        before = engine.openings
        engine.lose()
        until(lambda: engine.openings > before and healthy(again, old, envelope), "it is opened again, alone")
        assert running.scene.remote.openings == 2


def healthy(client: Client, key_id: str, envelope: bytes) -> bool:
    try:
        return client.decrypt(key_id, envelope) == SEED
    except grpc.RpcError:
        return False


def test_status_tells_what_a_call_met_before_the_look_is_over(both: Running, caller: Client) -> None:
    remote = both.scene.remote
    looking, go_on = threading.Event(), threading.Event()
    plain = remote.wrap

    def slowly(key: str, plaintext: bytes, aad: bytes) -> bytes:
        if threading.current_thread().name.startswith("transit-watch"):
            looking.set()
            assert go_on.wait(30)
        return plain(key, plaintext, aad)

    remote.wrap = slowly  # type: ignore[method-assign]
    remote.leave(GONE)
    try:
        assert refused(lambda: caller.encrypt(SEED)).code is UNAVAILABLE
        assert looking.wait(30)
        assert healthz(caller) == str(GONE)
        remote.come_back()
    finally:
        go_on.set()
    # The look finds it there: it was one call's trouble.
    both.wait_for("OPERATIONAL")
