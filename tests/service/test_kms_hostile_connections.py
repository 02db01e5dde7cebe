import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.http2 import PREFACE, SETTINGS, STATUS, call
from tests.service.client import Client, connected
from tests.service.conftest import Launch, wait_until_able
from tests.service.running import Running, until
from tests.service.scene import Scene


@contextlib.contextmanager
def connection(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(30)
        peer.connect(str(path))
        yield peer


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 4096,
        b"\xff" * 100_000,
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        PREFACE + b"\xff" * 4096,
        PREFACE[:10],
        # A HEADERS frame on a stream that a client may not use, of nothing that HPACK knows.
        PREFACE
        + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        + b"\x00\x00\x04\x01\x05\x00\x00\x00\x02\xff\xff\xff\xff",
    ],
    ids=["zeros", "ones", "HTTP/1", "TLS", "HTTP/2 and then ones", "half a preface", "bad frames"],
)
def test_garbage_on_the_socket_hurts_nobody(unharmed: Client, shared: Running, garbage: bytes) -> None:
    with connection(shared.scene.socket) as peer:
        with contextlib.suppress(OSError):
            peer.sendall(garbage)
        assert unharmed.open(unharmed.encrypt(b"beside it")) == b"beside it"


def test_a_client_that_says_nothing_hurts_nobody(unharmed: Client, shared: Running) -> None:
    with connection(shared.scene.socket):
        assert unharmed.open(unharmed.encrypt(b"beside it")) == b"beside it"


def test_a_client_that_hangs_up_in_the_middle_hurts_nobody(unharmed: Client, shared: Running) -> None:
    for _ in range(50):
        with connection(shared.scene.socket) as peer:
            peer.sendall(PREFACE + SETTINGS)
    assert unharmed.open(unharmed.encrypt(b"after it")) == b"after it"


def test_a_method_whose_name_is_no_text_does_not_end_the_service(scene: Scene, launch: Launch) -> None:
    """grpc.aio's server gives up on it, so that it takes a moment there."""
    launch()
    wait_until_able(scene)
    with connection(scene.socket) as peer:
        peer.sendall(PREFACE + SETTINGS + call(1, f"{STATUS}\xaf"))
        while peer.recv(65536) and not _served(scene.socket):
            pass
    until(lambda: _served(scene.socket), "the next good caller is served")


def _served(path: Path) -> bool:
    with connected(path) as client, contextlib.suppress(grpc.RpcError):
        return client.status().healthz == "ok"
    return False


@pytest.fixture
def many_files() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096  # both ends of the connections are ours here
    if most != resource.RLIM_INFINITY and most < wanted:
        pytest.fail(f"this test needs {wanted} files, {most} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, wanted), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_connections_leave_room_for_the_next_good_call(
    unharmed: Client, shared: Running
) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(1000):
            crowd.enter_context(connection(shared.scene.socket)).sendall(PREFACE)
        with connected(shared.scene.socket) as newcomer:
            assert newcomer.open(newcomer.encrypt(b"one more")) == b"one more"
        assert unharmed.status().healthz == "ok"
