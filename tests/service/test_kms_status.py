from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance import faults
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import Client, connected
from tests.service.conftest import Start
from tests.service.running import Running, until
from tests.service.scene import Scene


def test_tells_version_health_and_the_key_that_encrypts(running: Running, client: Client) -> None:
    status = client.status()
    assert (status.version, status.healthz) == ("v2", "ok")
    assert status.key_id == running.scene.key().id == client.encrypt(b"seed").key_id
    assert 1 <= len(status.key_id.encode()) <= 1024


def test_is_the_same_after_a_restart(scene: Scene, start: Start) -> None:
    answers = []
    for _ in range(2):
        running = start()
        running.wait_for("OPERATIONAL")
        with connected(scene.socket) as client:
            answers.append(client.status())
        running.stop()
    assert answers[0] == answers[1]


def test_status_and_encrypt_agree_while_both_are_called_at_once(running: Running) -> None:
    with connected(running.scene.socket) as client, ThreadPoolExecutor(8) as pool:
        statuses = [pool.submit(client.status) for _ in range(300)]
        wrapped = [pool.submit(client.encrypt, b"seed") for _ in range(300)]
        announced = {answer.result().key_id for answer in statuses}
        used = {answer.result().key_id for answer in wrapped}
    assert announced == used == {running.scene.key().id}


def test_answers_while_two_hundred_decrypts_wait_for_a_cipher_that_hangs(
    running: Running, client: Client
) -> None:
    wrapped = client.encrypt(b"seed")
    request = pb.DecryptRequest(ciphertext=wrapped.ciphertext, key_id=wrapped.key_id)
    running.scene.engine.hang()
    waiting = [client.stub.Decrypt.future(request, timeout=60) for _ in range(200)]
    running.scene.engine.wait_until_hanging()
    with connected(running.scene.socket) as another:
        # No clock: these answers arrive because Status does not wait, or never.
        assert [one.status().healthz for one in (client, another)] == ["ok", "ok"]
    assert not any(call.done() for call in waiting)
    running.scene.engine.release()
    assert {call.result().plaintext for call in waiting} == {b"seed"}


def test_stops_saying_ok_when_the_proof_is_stale_and_says_it_again_after_the_hang(
    scene: Scene, start: Start
) -> None:
    running = start(probe_seconds=0.05)
    running.wait_for("OPERATIONAL")
    scene.engine.hang()
    running.wait_for("FAILED", faults.PROBE_STALE.id)
    scene.engine.release()
    running.wait_for("OPERATIONAL")
    assert scene.engine.openings == 1


@pytest.mark.parametrize("waits", [True, False], ids=["waiting engine", "instant engine"])
def test_proves_the_token_again_and_again_with_nobody_calling(
    scene: Scene, start: Start, waits: bool
) -> None:
    scene.engine.waits = waits
    running = start(probe_seconds=0.02)
    running.wait_for("OPERATIONAL")
    before = scene.engine.calls
    until(lambda: scene.engine.calls > before + 10, "five more round trips")
    assert running.report().state == "OPERATIONAL"


def test_comes_up_and_answers_before_the_token_is_open(scene: Scene, start: Start) -> None:
    scene.engine.hang()
    running = start()
    running.wait_for("STARTING", faults.STARTING.id)
    scene.engine.release()
    running.wait_for("OPERATIONAL")
