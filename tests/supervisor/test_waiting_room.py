"""The API server may dial before there is a server: it waits, and is told to dial again."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from appliance.settings import DEFAULT_FILE
from appliance.waiting_room import SETTINGS_FILE, WaitingRoom, opened
from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance.patience import eventually
from tests.rig import Appliance

SETTINGS, GOAWAY = 4, 7


@pytest.fixture
def room(tmp_path: Path) -> Iterator[WaitingRoom]:
    os.chdir(tmp_path)
    room = WaitingRoom(Path("kms.sock"))
    room.admit()
    yield room
    room.close()


def dial(path: Path) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(20)
    try:
        caller.connect(str(path))
    except OSError:
        caller.close()
        raise
    return caller


def heard(caller: socket.socket) -> list[int]:
    """The types of the HTTP/2 frames until the connection ends."""
    data = b""
    while chunk := caller.recv(4096):
        data += chunk
    types = []
    while data:
        size = int.from_bytes(data[:3], "big")
        types.append(data[3])
        data = data[9 + size :]
    return types


def taken(path: Path) -> socket.socket:
    """Another socket in its place, as the server publishes its own."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    hidden = path.with_name(".hidden")
    server.bind(str(hidden))
    server.listen()
    hidden.rename(path)
    return server


def test_is_for_its_own_user_and_holds_who_comes(room: WaitingRoom) -> None:
    assert stat.S_IMODE(room.path.stat().st_mode) == 0o600
    with dial(room.path) as caller:
        caller.settimeout(0.2)
        with pytest.raises(TimeoutError):
            caller.recv(1)


def test_all_who_wait_are_told_to_dial_again_once_the_path_is_taken(room: WaitingRoom) -> None:
    callers = [dial(room.path) for _ in range(20)]
    for caller in callers:
        caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    with taken(room.path):
        eventually(lambda: not room.open, within=10)  # the kernel's word is enough
        assert [heard(caller) for caller in callers] == [[SETTINGS, GOAWAY]] * len(callers)
        assert room.path.exists()
    for caller in callers:
        caller.close()


def test_can_be_opened_again_when_the_server_has_ended(room: WaitingRoom) -> None:
    server = taken(room.path)
    eventually(lambda: not room.open, within=10)
    room.admit()
    assert not room.open  # it still answers
    server.close()
    room.admit()
    assert room.open
    dial(room.path).close()
    room.close()
    assert not room.path.exists()


def test_nobody_is_kept_for_a_server_that_does_not_come(room: WaitingRoom) -> None:
    room.close()
    short = WaitingRoom(room.path, 0.3)
    short.admit()
    with dial(room.path) as caller:
        assert heard(caller) == [SETTINGS, GOAWAY]
    assert not short.open
    assert not room.path.exists()


def test_other_names_in_the_directory_are_no_reason(room: WaitingRoom) -> None:
    for number in range(10):
        Path(f"other-{number}").touch()
        Path(f"other-{number}").rename("another")
    assert room.open


@pytest.mark.parametrize(
    "environment",
    [
        {"KLEIDI_SOCKET": "no path"},
        {"KLEIDI_SOCKET": "/no/such/directory/kms.sock"},
        {"KLEIDI_CONFIG_FILE": "/no/such/file"},
        {"KLEIDI_CONFIG_FILE": "/dev/zero"},
    ],
    ids=lambda each: next(iter(each.values())),
)
def test_what_is_wrong_is_left_to_the_server_to_tell(environment: dict[str, str]) -> None:
    room = opened(environment)
    assert room is None or not room.open


def test_a_file_may_say_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'socket = "unix://{tmp_path}/kms.sock"\n')
    room = opened({"KLEIDI_CONFIG_FILE": str(file)})
    assert room
    assert room.path == tmp_path / "kms.sock"
    room.close()


def test_knows_the_settings_file_that_is_read_by_default() -> None:
    assert SETTINGS_FILE == DEFAULT_FILE


def test_loads_nothing_that_the_first_moment_has_to_wait_for() -> None:
    program = "import sys, appliance.waiting_room; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"supervisor", "grpc", "pydantic", "asyncio", "tomllib"} & set(done.stdout.split())


def test_whoever_dials_first_never_meets_a_refusal(tmp_path: Path) -> None:
    """From the moment that the path is there until the server serves, through its first boot and a crash."""
    with Appliance(tmp_path) as appliance:
        failures: list[str] = []
        done = threading.Event()

        def dial_all_the_time() -> None:
            while not done.is_set():
                try:
                    dial(appliance.socket).close()
                except OSError as error:
                    failures.append(str(error))
                time.sleep(0.02)

        appliance.start()
        eventually(appliance.socket.exists, within=30, pause=0.001)
        dialling = threading.Thread(target=dial_all_the_time, daemon=True)
        dialling.start()
        # One channel from the first moment on: gRPC itself dials again.
        with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
            seen: list[grpc.ChannelConnectivity] = []
            channel.subscribe(seen.append, try_to_connect=True)
            stub = api_pb2_grpc.KeyManagementServiceStub(channel)
            with contextlib.suppress(grpc.RpcError):  # the first key may still be in the making
                stub.Status(api_pb2.StatusRequest(), wait_for_ready=True, timeout=60)
            # gRPC tells of it from a thread of its own, which may come behind the answer.
            eventually(lambda: grpc.ChannelConnectivity.READY in seen, within=30, explain=lambda: str(seen))
            assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in seen
        assert failures == []
        appliance.wait_ready()
        appliance.kill("kms")
        appliance.wait_ready()
        done.set()
        dialling.join()
        # Between its end and the supervisor's hearing of it nobody can be there.
        assert set(failures) <= {"[Errno 111] Connection refused", "[Errno 104] Connection reset by peer"}
        with dial(appliance.socket):
            pass
