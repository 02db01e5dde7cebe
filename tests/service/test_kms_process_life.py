import json
import os
import signal

import grpc

from appliance import faults
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import connected, refused
from tests.service.conftest import Launch, wait_until_able
from tests.service.running import until
from tests.service.scene import Scene


def assert_serves(scene: Scene) -> None:
    with connected(scene.socket) as client:
        assert client.open(client.encrypt(b"seed")) == b"seed"


def test_sigterm_lets_the_calls_in_flight_end_and_takes_the_sockets_away(
    scene: Scene, launch: Launch
) -> None:
    process = launch()
    wait_until_able(scene)
    with connected(scene.socket) as client:
        process.send_signal(signal.SIGUSR1)
        calls = [
            client.stub.Encrypt.future(pb.EncryptRequest(plaintext=b"seed"), timeout=60) for _ in range(5)
        ]
        assert client.status().healthz == "ok"
        process.terminate()
        until(lambda: not scene.socket.exists(), "the path disappears first")
        assert process.poll() is None
        process.send_signal(signal.SIGUSR2)
        assert {call.result().key_id for call in calls} == {scene.key().id}
    assert process.wait(30) == 0
    assert not scene.admin.exists()
    assert list((scene.root / "memory").iterdir()) == []


def test_sigterm_ends_the_server_before_the_token_was_ever_open(scene: Scene, launch: Launch) -> None:
    away = scene.custody.path.rename(scene.root / "away")
    process = launch()
    until(scene.admin.exists, "the server listens")
    with connected(scene.socket) as client:
        assert refused(client.status).code is grpc.StatusCode.UNAVAILABLE
    process.terminate()
    assert process.wait(30) == 0
    assert away.exists()


def test_the_socket_of_a_killed_server_is_replaced(scene: Scene, launch: Launch) -> None:
    first = launch()
    wait_until_able(scene)
    with connected(scene.socket) as client:
        before = client.encrypt(b"seed")
        first.kill()
        first.wait(30)
        assert scene.socket.is_socket()
        stale = scene.socket.stat().st_ino
        launch()
        until(lambda: scene.socket.stat().st_ino != stale, "the socket is a new one")
        wait_until_able(scene)
    with connected(scene.socket) as client:
        assert client.open(before) == b"seed"


def test_a_second_instance_is_refused_and_the_first_ones_socket_stays(scene: Scene, launch: Launch) -> None:
    launch()
    wait_until_able(scene)
    before = [os.lstat(path) for path in (scene.socket, scene.admin)]
    second = launch()
    _, complaint = second.communicate(timeout=30)
    assert (second.returncode, complaint.splitlines()[-1]) == (1, faults.SOCKET_IN_USE.id)
    assert [os.lstat(path) for path in (scene.socket, scene.admin)] == before
    assert sorted(path.name for path in scene.socket.parent.iterdir()) == ["kms.sock", "kms.sock.lock"]
    assert_serves(scene)


def test_sigterm_loses_no_line_of_the_log(scene: Scene, launch: Launch) -> None:
    process = launch()
    wait_until_able(scene)
    with connected(scene.socket) as client:
        for number in range(100):
            client.encrypt(b"seed", f"uid-{number}")
    process.terminate()
    _, written = process.communicate(timeout=30)
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["uid"] for line in lines if line["msg"] == "Encrypt"] == [f"uid-{n}" for n in range(100)]
    assert lines[-1]["msg"] == "stopped"
