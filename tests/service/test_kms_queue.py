import time

import grpc
import pytest

from appliance import faults
from appliance.telemetry.sparing import MOST
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import Client, Refusal, connected, refused
from tests.service.conftest import Start
from tests.service.journal import Journal
from tests.service.running import Running, until
from tests.service.scene import Scene


def submit(client: Client, number: int) -> "grpc._CallFuture[pb.EncryptResponse]":
    return client.stub.Encrypt.future(pb.EncryptRequest(plaintext=b"seed", uid=f"{number}"), timeout=60)


def test_a_burst_waits_and_what_is_beyond_the_queue_is_refused_at_once(scene: Scene, start: Start) -> None:
    start(queue_size=20).wait_for("OPERATIONAL")
    with connected(scene.socket) as client:
        scene.engine.hang()
        calls = [submit(client, number) for number in range(50)]
        until(lambda: sum(call.done() for call in calls) == 30, "thirty calls are refused")
        full = [refused(call.result) for call in calls if call.done()]
        assert {answer.code for answer in full} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert all(answer.text.startswith(f"{faults.QUEUE_FULL} uid=") for answer in full)
        assert client.status().healthz == "ok"
        waiting = [call for call in calls if not call.done()]
        scene.engine.release()
        assert {call.result().key_id for call in waiting} == {scene.key().id}
        assert len(waiting) == 20
        assert client.open(client.encrypt(b"seed")) == b"seed"


@pytest.mark.parametrize("waits", [True, False], ids=["waiting engine", "instant engine"])
def test_a_call_whose_caller_has_gone_never_reaches_the_cipher(
    scene: Scene, start: Start, waits: bool
) -> None:
    scene.engine.waits = waits
    start().wait_for("OPERATIONAL")
    with connected(scene.socket) as client, connected(scene.socket) as leaver:
        scene.engine.hang()
        first = submit(client, 0)
        scene.engine.wait_until_hanging()
        before = scene.engine.calls
        gone = [submit(leaver, number) for number in range(40)]
        hurried = [
            client.stub.Encrypt.future(pb.EncryptRequest(plaintext=b"seed"), timeout=0.2) for _ in range(40)
        ]
        until(lambda: all(call.done() for call in hurried), "their deadlines pass")
        for call in gone:
            call.cancel()
        if waits:
            # The server must have learnt of it.
            assert [each.status().healthz for each in (client, leaver)] == ["ok", "ok"]
        else:
            # It learns when it is free again: all that the callers had to say must be in its socket by then.
            time.sleep(0.5)
        scene.engine.release()
        assert first.result().key_id == scene.key().id
        assert client.status().healthz == "ok"
        assert scene.engine.calls == before
        assert client.open(client.encrypt(b"seed")) == b"seed"


def test_our_own_deadline_comes_before_the_callers(scene: Scene, start: Start) -> None:
    start(call_seconds=0.2).wait_for("OPERATIONAL")
    with connected(scene.socket) as client:
        scene.engine.hang()
        slow = Refusal(grpc.StatusCode.UNAVAILABLE, f"{faults.TOKEN_SLOW} uid=u")
        assert refused(lambda: client.encrypt(b"seed", "u")) == slow  # inside the cipher
        assert refused(lambda: client.encrypt(b"seed", "u")) == slow  # behind it
        assert client.status().healthz == "ok"
        before = scene.engine.calls
        scene.engine.release()
        assert client.encrypt(b"seed")
        assert scene.engine.calls == before + 1  # the call behind never came to the cipher
        assert client.open(client.encrypt(b"seed")) == b"seed"


def served(client: Client) -> bool:
    try:
        client.encrypt(b"seed")
    except grpc.RpcError:
        return False
    return True


def test_calls_that_ran_out_of_time_free_their_places(scene: Scene, start: Start, journal: Journal) -> None:
    start(call_seconds=0.2, queue_size=16).wait_for("OPERATIONAL")
    with connected(scene.socket) as client:
        scene.engine.hang()
        for _ in range(3):
            answers = [refused(call.result) for call in [submit(client, number) for number in range(16)]]
            assert {answer.code for answer in answers} == {grpc.StatusCode.UNAVAILABLE}
            assert {answer.text.rpartition(" uid=")[0] for answer in answers} == {str(faults.TOKEN_SLOW)}
        scene.engine.release()
        until(lambda: served(client), "calls are served again")
    assert len(journal.lines(id=faults.TOKEN_SLOW.id)) == MOST


def test_a_hang_costs_nobody_the_next_call(running: Running, client: Client) -> None:
    running.scene.engine.hang()
    calls = [submit(client, number) for number in range(100)]
    running.scene.engine.wait_until_hanging()
    running.scene.engine.release()
    assert len({call.result().ciphertext for call in calls}) == 100
