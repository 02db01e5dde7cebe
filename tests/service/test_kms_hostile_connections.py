import contextlib
import resource
import socket
from collections.abc import Iterator

import pytest

from tests.service.client import Client, connected
from tests.service.running import Running

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@contextlib.contextmanager
def connection(running: Running) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(30)
        peer.connect(str(running.scene.socket))
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
    with connection(shared) as peer:
        with contextlib.suppress(OSError):
            peer.sendall(garbage)
        assert unharmed.open(unharmed.encrypt(b"beside it")) == b"beside it"


def test_a_client_that_says_nothing_hurts_nobody(unharmed: Client, shared: Running) -> None:
    with connection(shared):
        assert unharmed.open(unharmed.encrypt(b"beside it")) == b"beside it"


def test_a_client_that_hangs_up_in_the_middle_hurts_nobody(unharmed: Client, shared: Running) -> None:
    for _ in range(50):
        with connection(shared) as peer:
            peer.sendall(PREFACE + SETTINGS)
    assert unharmed.open(unharmed.encrypt(b"after it")) == b"after it"


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
            crowd.enter_context(connection(shared)).sendall(PREFACE)
        with connected(shared.scene.socket) as newcomer:
            assert newcomer.open(newcomer.encrypt(b"one more")) == b"one more"
        assert unharmed.status().healthz == "ok"
