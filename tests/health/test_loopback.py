"""KLEIDI_HTTP: the same table by TCP, for whoever is on this machine and nobody else."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.endpoint import EndpointError, loopback
from appliance.faults import KleidiError
from appliance.service.sockets.loopback import Loopback
from tests.health.answering import LARGE, STATUS, Answering
from tests.service.asked import received
from tests.service.client import PATIENCE_SECONDS
from tests.service.running import until

HOSTS = [
    pytest.param("127.0.0.1", socket.AF_INET, id="IPv4"),
    pytest.param("[::1]", socket.AF_INET6, id="IPv6"),
]


def free(host: str, family: socket.AddressFamily) -> str:
    with socket.socket(family) as taken:
        taken.bind((host.strip("[]"), 0))
        return f"{host}:{taken.getsockname()[1]}"


@pytest.fixture
def address() -> str:
    return free("127.0.0.1", socket.AF_INET)


@pytest.fixture
def exposed(directory: Path, address: str) -> Iterator[Answering]:
    with Answering(directory / "health.sock", address) as exposed:
        yield exposed
        assert get(address, "/livez") == (200, "ok\n")
        assert exposed.get("/livez") == (200, "ok\n")


def get(address: str, target: str) -> tuple[int, str]:
    """As any client of HTTP asks."""
    connection = http.client.HTTPConnection(*loopback(address), timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def send(address: str, said: bytes) -> bytes:
    with socket.create_connection(loopback(address), PATIENCE_SECONDS) as caller:
        caller.sendall(said)
        return received(caller)


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)])
def test_it_is_the_one_table(directory: Path, host: str, family: socket.AddressFamily) -> None:
    address = free(host, family)
    with Answering(directory / "health.sock", address) as exposed:
        for target in (
            "/livez",
            "/readyz",
            "/readyz?verbose",
            "/healthz/keys",
            "/standing",
            "/metrics",
            "/no",
        ):
            assert get(address, target) == exposed.get(target)
        assert get(address, "/large") == (200, f"{LARGE}\n")


def test_details_are_for_operators_alone(exposed: Answering, address: str) -> None:
    assert get(address, "/status.json") == (403, "only on the Unix socket\n")
    assert exposed.get("/status.json") == (200, f"{STATUS}\n")


def test_a_page_in_a_browser_that_leads_its_own_name_here_learns_nothing(
    exposed: Answering, address: str
) -> None:
    assert exposed
    for host in (b"Host: evil.example\r\n", b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        answer = send(address, b"GET /readyz HTTP/1.1\r\n" + host + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert answer.endswith(b"\r\n\r\nHost must be an address or localhost\n")
    assert send(address, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_crowd_there_leaves_the_probe_its_own_socket(exposed: Answering, address: str) -> None:
    callers = [socket.create_connection(loopback(address), PATIENCE_SECONDS) for _ in range(64)]
    try:
        until(lambda: get(address, "/livez")[0] == 503, "it is full")
        assert exposed.get("/livez") == (200, "ok\n")
        until(lambda: get(address, "/livez")[0] == 200, "they are shown out")
    finally:
        for caller in callers:
            caller.close()


def test_an_address_that_is_not_ours_is_a_warning(directory: Path) -> None:
    with Answering(directory / "health.sock") as answering:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            other = Loopback(f"127.0.0.1:{taken.getsockname()[1]}", {})
            with pytest.raises(KleidiError) as caught:
                answering.run(other.open())
        assert (caught.value.fault, caught.value.fault.kind) == (faults.HTTP_ADDRESS, faults.Kind.WARNING)
        assert "in use" in caught.value.detail
        answering.run(other.close(1))


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.255.255.254:65535", "[::1]:9643"])
def test_an_address_of_this_machine_alone(text: str) -> None:
    host, port = loopback(text)
    assert text in (f"{host}:{port}", f"[{host}]:{port}")


@pytest.mark.parametrize(
    "text",
    [
        "9643",
        ":9643",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:09643",
        "127.0.0.1:65536",
        "127.0.0.1:+1",
        "127.0.0.1:٣",
        "127.0.0.1:http",
        "localhost:9643",
        "0.0.0.0:9643",
        "[::]:9643",
        "10.0.0.1:9643",
        "::1:9643",
        "[0:0:0:0:0:0:0:1]:9643",
        "[::1%lo]:9643",
        "[127.0.0.1]:9643",
        "[::ffff:127.0.0.1]:9643",
        "http://127.0.0.1:9643",
        "127.0.0.1:9643/",
        " 127.0.0.1:9643",
    ],
)
def test_every_other_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(EndpointError) as caught:
        loopback(text)
    assert str(caught.value).isprintable()
