"""In front of the admin socket: who is admitted, what is carried, and who is told of."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from appliance import faults
from appliance.client import admin
from appliance.faults import KleidiError
from appliance.ops.operations import Command, Verb
from appliance.peer import Peer
from appliance.service.transports import GRPCIO
from appliance.service.transports.grpcio.relay import caller_of
from appliance.volume.audit import AuditLog
from proto.admin import admin_pb2
from tests.service.journal import Journal
from tests.service.running import Running, until

NOBODY = 65534
_KNOCK = """
import os, socket, sys
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
probe = socket.socket(socket.AF_UNIX)
probe.connect(sys.argv[1])
probe.settimeout(30)
try:
    probe.sendall(b"PRI * HTTP/2.0")
    print(len(probe.recv(100)))
except ConnectionError:
    print(0)
"""


@pytest.fixture
def relayed(running: Running) -> Running:
    """With grpcio, which does not tell who calls: its server stands in a room behind the socket."""
    if running.scene.transport != GRPCIO:
        pytest.skip("asks at the socket itself")
    return running


def rooms(running: Running) -> list[Path]:
    return [path for path in running.scene.admin.parent.iterdir() if path.is_dir()]


def test_root_and_the_own_user_are_admitted() -> None:
    assert Peer(0, 1).admitted
    assert Peer(os.geteuid(), 1).admitted
    assert not Peer(NOBODY, 1).admitted


@pytest.mark.parametrize(
    ("peer", "who"),
    [
        ("unix:/proc/self/fd/9/0-4711-3", "0:4711"),
        ("unix:", ""),
        ("unix:/proc/self/fd/9/behind", ""),
        ("unix:/run/0-x-3", ""),
        ("ipv4:127.0.0.1:1", ""),
    ],
)
def test_whom_a_connection_stands_for_is_read_from_its_name(peer: str, who: str) -> None:
    assert caller_of(peer) == who


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_turned_away_even_where_the_modes_would_let_him_in(
    running: Running, journal: Journal
) -> None:
    scene = running.scene
    for path, mode in ((scene.root, 0o711), (scene.admin.parent, 0o711), (scene.admin, 0o666)):
        path.chmod(mode)
    command = [sys.executable, "-c", _KNOCK.format(uid=NOBODY), str(scene.admin)]
    knocked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert knocked.stdout.split() == ["0"]
    until(lambda: journal.lines(msg="turned away from the admin socket", uid=NOBODY), "it was logged")
    assert running.report().state == "OPERATIONAL"


def test_the_socket_behind_lies_where_nobody_else_can_enter(relayed: Running) -> None:
    (room,) = rooms(relayed)
    assert room.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in room.iterdir()] == ["behind"]


def test_the_room_goes_with_the_server_and_a_killed_ones_is_swept(relayed: Running) -> None:
    relayed.stop()
    assert rooms(relayed) == []
    left = relayed.scene.admin.with_name(".0a1b2c.d")
    left.mkdir()
    (left / "behind").touch()
    again = Running(relayed.scene)
    try:
        again.wait_for("OPERATIONAL")
        assert left not in rooms(again)
    finally:
        again.stop()


def test_where_others_could_put_a_socket_of_theirs_there_is_none_of_ours(
    running: Running, journal: Journal
) -> None:
    admin = running.scene.admin
    admin.parent.chmod(0o1777)
    admin.unlink()
    until(lambda: "can be written by others" in journal.text, "it was told")
    assert faults.SOCKET_DIRECTORY.id in journal.text
    assert not admin.exists()
    admin.parent.chmod(0o700)
    until(admin.exists, "it is back")
    assert running.report().state == "OPERATIONAL"


def test_megabytes_get_through(running: Running) -> None:
    files = {f"not a name/{number}": secrets.token_bytes(1 << 20) for number in range(6)}
    request = admin_pb2.AdoptRequest(files=files, pin="1", key_label="kms-test", dry_run=True)
    with pytest.raises(KleidiError) as caught:
        admin.adopt(running.scene.admin, request)
    # They were read, which is how the server knows that one of the names is none.
    assert caught.value.fault is faults.TOKEN_NOT_ADOPTED


def test_who_hangs_up_at_once_or_says_nothing_hurts_nobody(running: Running) -> None:
    silent = []
    for number in range(50):
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(str(running.scene.admin))
        if number % 2:
            caller.close()
        else:
            silent.append(caller)
    assert running.report().state == "OPERATIONAL"
    for caller in silent:
        caller.sendall(b"\x00" * 100)
        caller.close()
    assert running.report().state == "OPERATIONAL"


def test_the_audit_log_says_who_it_was(running: Running) -> None:
    admin.change(running.scene.admin, admin.change_request(Command(Verb.RETIRE, "v5", by="somebody else")))
    log = AuditLog(running.scene.volume.path / "audit.jsonl")
    assert {entry["by"] for entry in log.tail(9)} == {f"{os.geteuid()}:{os.getpid()}"}


def test_a_path_taken_away_is_published_again_with_its_door(running: Running) -> None:
    inode = running.scene.admin.stat().st_ino
    running.scene.admin.unlink()
    until(lambda: running.scene.admin.exists() and running.scene.admin.stat().st_ino != inode, "it is back")
    assert running.report().state == "OPERATIONAL"


def test_a_call_under_way_ends_before_the_server_does(running: Running) -> None:
    with grpc.insecure_channel(f"unix:{running.scene.admin}") as channel:
        grpc.channel_ready_future(channel).result(30)
        running.stop()
        until(lambda: not running.scene.admin.exists(), "the path is gone")
    assert rooms(running) == []
