"""The knock at etcd's door: what is wrong, in words, before gRPC gets to say UNAVAILABLE."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.usage.endpoint import Endpoint, Identity
from tests.usage.authority import Authority
from tests.usage.kv import Store, served

SECONDS = 5.0


@pytest.mark.parametrize(
    ("text", "endpoint", "target"),
    [
        ("https://127.0.0.1:2379", Endpoint("https", "127.0.0.1", 2379), "127.0.0.1:2379"),
        ("https://etcd.example", Endpoint("https", "etcd.example", 2379), "etcd.example:2379"),
        ("etcd:1234", Endpoint("https", "etcd", 1234), "etcd:1234"),
        ("http://[::1]:2379/", Endpoint("http", "::1", 2379), "[::1]:2379"),
        ("unix:///run/kine.sock", Endpoint("unix", "/run/kine.sock", 0), "unix:/run/kine.sock"),
    ],
)
def test_takes_what_etcdctl_takes(text: str, endpoint: Endpoint, target: str) -> None:
    assert Endpoint.parse(text) == endpoint
    assert endpoint.target == target


@pytest.mark.parametrize(
    "text",
    ["", "ftp://host", "https://", "https://host:none", "https://host:99999", "https://host/path", "unix://"],
)
def test_refuses_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(KleidiError) as caught:
        Endpoint.parse(text)
    assert caught.value.fault is faults.CONFIG


@given(st.text(max_size=40))
def test_any_text_is_an_endpoint_or_a_mistake(text: str) -> None:
    try:
        Endpoint.parse(text)
    except KleidiError as error:
        assert error.fault is faults.CONFIG  # noqa: PT017  # either is right


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "etcd-ca")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "another-ca")


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[str]:
    with served(Store({}), authority.issue("server")) as address:
        yield address


def refusal(address: str, identity: Identity) -> tuple[Fault, str]:
    with pytest.raises(KleidiError) as caught:
        Endpoint.parse(address).knock(identity.context(), SECONDS)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value.fault, caught.value.detail


def test_opens_to_whom_it_knows(secure: str, authority: Authority) -> None:
    identity = authority.issue("client")
    Endpoint.parse(secure).knock(identity.context(), SECONDS)


def test_a_server_that_nobody_vouches_for_is_not_trusted(
    secure: str, authority: Authority, stranger: Authority
) -> None:
    client = authority.issue("client")
    fault, words = refusal(secure, Identity(stranger.certificate, client.cert, client.key))
    assert fault is faults.ETCD_TLS
    assert "unable to get local issuer certificate" in words


def test_a_server_of_another_name_is_not_trusted(authority: Authority) -> None:
    with served(Store({}), authority.issue("elsewhere", address="10.0.0.1")) as address:
        fault, words = refusal(address, authority.issue("client"))
    assert fault is faults.ETCD_TLS
    assert "not valid for" in words


def test_an_expired_server_is_not_trusted(authority: Authority) -> None:
    with served(Store({}), authority.issue("old", days=-1)) as address:
        fault, words = refusal(address, authority.issue("client"))
    assert fault is faults.ETCD_TLS
    assert "expired" in words


@pytest.mark.parametrize("missing", ["cacert", "cert", "key"])
@pytest.mark.parametrize(
    ("name", "why"), [("not-here.pem", "No such file or directory"), ("", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_told_by_its_name(
    authority: Authority, tmp_path: Path, missing: str, name: str, why: str
) -> None:
    client = replace(authority.issue("client"), **{missing: tmp_path / name})
    with pytest.raises(KleidiError) as caught:
        client.context()
    assert (caught.value.fault, caught.value.detail) == (faults.INPUT_UNREADABLE, f"{tmp_path / name}: {why}")


def test_a_client_without_a_certificate_is_told_so(secure: str, authority: Authority) -> None:
    fault, words = refusal(secure, Identity(authority.certificate))
    assert fault is faults.ETCD_TLS
    assert "certificate" in words


def test_a_client_that_the_server_does_not_know_is_told_so(
    secure: str, authority: Authority, stranger: Authority
) -> None:
    client = stranger.issue("client")
    fault, _ = refusal(secure, Identity(authority.certificate, client.cert, client.key))
    assert fault is faults.ETCD_TLS


@pytest.mark.parametrize(
    "error", [ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), BrokenPipeError(), b""]
)
def test_who_hangs_up_before_our_greeting_did_so_on_our_certificate(
    secure: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, error: Exception | bytes
) -> None:
    """By the moment at which it hangs up, one of these."""

    def send(_connection: ssl.SSLSocket, _data: bytes) -> None:
        if isinstance(error, Exception):
            raise error

    monkeypatch.setattr(ssl.SSLSocket, "sendall", send)
    monkeypatch.setattr(ssl.SSLSocket, "recv", lambda *_: b"")
    fault, words = refusal(secure, Identity(authority.certificate))
    assert fault is faults.ETCD_TLS
    assert "certificate" in words


def test_plain_where_tls_is_spoken_and_the_other_way_round(secure: str, authority: Authority) -> None:
    fault, _ = refusal(secure.replace("https", "http"), Identity())
    assert fault is faults.ETCD_UNREACHABLE
    with served(Store({})) as plain:
        fault, _ = refusal(plain.replace("http", "https"), authority.issue("client"))
    assert fault is faults.ETCD_TLS


def test_nobody_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    fault, words = refusal(f"http://127.0.0.1:{port}", Identity())
    assert fault is faults.ETCD_UNREACHABLE
    assert "Connection refused" in words


def test_somebody_else_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = Endpoint("http", "127.0.0.1", server.getsockname()[1])
        with pytest.raises(KleidiError) as caught:
            address.knock(Identity().context(), 0.2)
    assert caught.value.fault is faults.ETCD_UNREACHABLE


def test_no_socket_there(tmp_path: Path) -> None:
    fault, _ = refusal(f"unix://{tmp_path}/none.sock", Identity())
    assert fault is faults.ETCD_UNREACHABLE


def test_files_that_cannot_be_used_are_named(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    client, other = authority.issue("client"), stranger.issue("client")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate\n")
    for identity in (
        Identity(garbage),
        Identity(None, garbage, client.key),
        Identity(None, client.cert, other.key),
    ):
        with pytest.raises(KleidiError) as caught:
            identity.context()
        assert caught.value.fault is faults.ETCD_TLS
        assert str(identity.cert or identity.cacert) in caught.value.detail


def test_a_certificate_needs_its_key(authority: Authority) -> None:
    with pytest.raises(KleidiError) as caught:
        Identity(authority.certificate, authority.certificate).context()
    assert caught.value.fault is faults.CONFIG
