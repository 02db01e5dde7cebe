import asyncio
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.sockets.listener import Listener
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import Client, connected
from tests.service.conftest import Start
from tests.service.journal import Journal
from tests.service.running import Running, until
from tests.service.scene import Scene


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.service.server._LOOK_SECONDS", 0.02)


@pytest.fixture
def path(running: Running) -> Path:
    return running.scene.socket


@pytest.fixture
def stranger(running: Running) -> Iterator[socket.socket]:
    """A socket of another program, bound somewhere beside ours."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.bind(str(running.scene.root / "stranger"))
        yield stranger


def assert_serves(path: Path) -> None:
    with connected(path) as client:
        assert client.open(client.encrypt(b"seed")) == b"seed"


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_socket_has_the_mode_and_group_it_was_given(scene: Scene, start: Start, mode: int) -> None:
    gid = max(os.getgroups(), default=os.getgid()) if os.getuid() else 12345
    start(mode=mode, gid=gid)
    status = scene.socket.stat()
    assert (status.st_mode & 0o777, status.st_gid) == (mode, gid)
    assert scene.admin.stat().st_mode & 0o777 == 0o600


def test_nothing_but_the_socket_and_its_lock_is_left_in_its_directory(running: Running, path: Path) -> None:
    assert names(path) == ["kms.sock", "kms.sock.lock"]
    running.stop()
    assert names(path) == ["kms.sock.lock"]


def test_a_deleted_path_is_bound_again_and_calls_in_flight_end(
    running: Running, client: Client, path: Path
) -> None:
    running.scene.engine.hang()
    call = client.stub.Encrypt.future(pb.EncryptRequest(plaintext=b"seed"), timeout=60)
    running.scene.engine.wait_until_hanging()
    path.unlink()
    until(path.exists, "the path is back")
    with connected(path) as newcomer:
        assert newcomer.status().healthz == "ok"
        running.scene.engine.release()
        assert newcomer.open(call.result()) == b"seed"
    assert client.open(client.encrypt(b"seed")) == b"seed"
    assert names(path) == ["kms.sock", "kms.sock.lock"]


def test_a_path_deleted_again_and_again_is_always_bound_again(path: Path) -> None:
    for _ in range(5):
        path.unlink()
        until(path.exists, "the path is back")
        assert_serves(path)


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_a_directory_made_anew_gets_its_socket_and_still_only_one_server(
    running: Running, path: Path, how: str
) -> None:
    if how == "renamed":
        path.parent.rename(path.parent.with_name("old"))
    else:
        shutil.rmtree(path.parent)
    path.parent.mkdir(mode=0o700)
    until(path.exists, "the path is back")
    assert_serves(path)
    before = path.stat().st_ino
    with pytest.raises(KleidiError) as caught:
        asyncio.run(open_another(running.scene))
    assert caught.value.fault is faults.SOCKET_IN_USE
    assert caught.value.detail == f"{path}, process {os.getpid()}"
    assert path.stat().st_ino == before


async def open_another(scene: Scene) -> None:
    _, listeners, _ = scene.assemble()
    await listeners[0].open()


def test_a_live_program_at_our_path_is_not_robbed_but_told_of(
    running: Running, client: Client, path: Path, stranger: socket.socket
) -> None:
    assert client.status().healthz == "ok"
    stranger.listen()
    (running.scene.root / "stranger").rename(path)
    running.wait_for("DEGRADED", faults.SOCKET_TAKEN.id)
    assert client.status().healthz == "ok"  # no call fails for that
    assert client.open(client.encrypt(b"seed")) == b"seed"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.connect(str(path))
    stranger.close()
    running.wait_for("OPERATIONAL")
    assert_serves(path)


def test_a_live_program_at_our_path_is_not_robbed_at_the_start_either(scene: Scene, start: Start) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.bind(str(scene.socket))
        stranger.listen()
        before = scene.socket.stat().st_ino
        running = start()
        with pytest.raises(KleidiError) as caught:
            running.join()
        assert caught.value.fault is faults.SOCKET_IN_USE
        assert caught.value.detail == f"{scene.socket}, process {os.getpid()}"
        assert scene.socket.stat().st_ino == before


def test_a_dead_socket_or_a_file_at_our_path_is_replaced(
    running: Running, path: Path, stranger: socket.socket
) -> None:
    (running.scene.root / "stranger").rename(path)
    stranger.close()
    until(lambda: names(path) == ["kms.sock", "kms.sock.lock"] and answers(path), "ours is back")
    assert_serves(path)
    path.unlink()
    path.write_text("")
    until(path.is_socket, "ours is back")
    assert_serves(path)


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        return visitor.connect_ex(str(path)) == 0


def test_a_directory_at_our_path_is_told_of_leaves_no_litter_and_is_survived(
    client: Client, running: Running, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []
    keep = Listener.keep

    async def counted(listener: Listener, seconds: float, grace: float) -> str:
        tries.append(listener.path)
        return await keep(listener, seconds, grace)

    monkeypatch.setattr(Listener, "keep", counted)
    assert client.status().healthz == "ok"
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    running.wait_for("DEGRADED", faults.SOCKET_OWNER.id)
    until(lambda: tries.count(path) > 3, "it tried again and again")
    assert client.open(client.encrypt(b"seed")) == b"seed"
    assert len(names(path)) <= 3
    shutil.rmtree(path)
    until(path.is_socket, "the path is back")
    assert_serves(path)
    assert names(path) == ["kms.sock", "kms.sock.lock"]
    running.wait_for("OPERATIONAL")


def test_while_calls_end_after_sigterm_the_path_stays_away(
    running: Running, client: Client, path: Path
) -> None:
    running.scene.engine.hang()
    call = client.stub.Encrypt.future(pb.EncryptRequest(plaintext=b"seed"), timeout=60)
    running.scene.engine.wait_until_hanging()
    running.terminate()
    until(lambda: not path.exists(), "the path is gone")
    time.sleep(0.2)  # ten looks
    assert not path.exists()
    running.scene.engine.release()
    assert call.result().key_id == running.scene.key().id
    running.join()
    assert names(path) == ["kms.sock.lock"]


def test_on_exit_only_our_own_socket_is_removed(
    running: Running, path: Path, stranger: socket.socket
) -> None:
    stranger.listen()
    (running.scene.root / "stranger").rename(path)
    theirs = path.stat().st_ino
    running.stop()
    assert path.stat().st_ino == theirs


def test_without_its_directory_the_server_says_so_and_waits_for_it(
    scene: Scene, start: Start, journal: Journal
) -> None:
    scene.socket.parent.rmdir()
    running = start()
    until(lambda: faults.SOCKET_DIRECTORY.id in journal.text, faults.SOCKET_DIRECTORY.id)
    running.wait_for("DEGRADED", faults.SOCKET_DIRECTORY.id)
    scene.socket.parent.mkdir()
    until(scene.socket.exists, "a socket")
    running.wait_for("OPERATIONAL")
    with connected(scene.socket) as client:
        assert client.status().healthz == "ok"
