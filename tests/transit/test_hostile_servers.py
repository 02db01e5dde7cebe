"""Whatever answers in the server's place: never bytes, never longer than a call, no token to a stranger."""

import gzip
import json
import socket
import ssl
import struct
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.transit import TransitEngine
from appliance.engines.transit.held import Held, Taken
from appliance.faults import Fault
from appliance.keys.engine import AwayError, EngineError, OffError
from appliance.transit.access import Access
from appliance.transit.connections import wire
from appliance.transit.connections.names import Names
from appliance.transit.connections.wire import Connection
from appliance.transit.key import Version
from tests.transit import hostile
from tests.transit.conftest import MakeEngine, Site, secret
from tests.transit.hostile import Behaviour, answer, drips, floods, says
from tests.usage.authority import Authority

TOKEN = "s.ThisTokenIsASecretThatNobodySees"  # noqa: S105  a test's own
CALL_SECONDS = 0.6
# What a busy machine may add.
LONGEST_SECONDS = CALL_SECONDS + 0.5


def good(ciphertext: str = "vault:v1:" + "A" * 80) -> dict[str, object]:
    return {"data": {"ciphertext": ciphertext}, "warnings": None}


def ok(body: object) -> Behaviour:
    return says(answer(200, body if isinstance(body, bytes) else json.dumps(body).encode()))


ANSWER, AWAY = faults.TRANSIT_ANSWER, faults.TRANSIT_AWAY
HEAD = b"HTTP/1.1 200 OK\r\n"
BEHAVIOURS: dict[str, tuple[Behaviour, Fault]] = {
    "HTML": (ok(b"<html>sign in</html>"), ANSWER),
    "empty": (ok(b""), ANSWER),
    "no content": (says(answer(204, b"")), ANSWER),
    "a list": (ok([1]), ANSWER),
    "null data": (ok({"data": None}), ANSWER),
    "a number": (ok({"data": {"ciphertext": 7}}), ANSWER),
    "deep": (ok(b"[" * 60000), ANSWER),
    "not base64": (ok(good("vault:v1:" + "!" * 80)), ANSWER),
    "a newline in base64": (ok(good("vault:v1:" + "A" * 40 + "\n" + "A" * 40)), ANSWER),
    "short": (ok(good("vault:v1:" + "A" * 76)), ANSWER),
    "long": (ok(good("vault:v1:" + "A" * 84)), ANSWER),
    "another version": (ok(good("vault:v2:" + "A" * 80)), ANSWER),
    "version 01": (ok(good("vault:v01:" + "A" * 80)), ANSWER),
    "another prefix": (ok(good("openbao:v1:" + "A" * 80)), ANSWER),
    "warnings": (ok({**good(), "warnings": ["ignored associated_data"]}), ANSWER),
    "garbage": (says(b"\x16\x03\x01 SSH-2.0-garbage\r\n\r\n"), ANSWER),
    "many headers": (says(HEAD + b"X-Y: z\r\n" * 200 + b"\r\n"), ANSWER),
    "gzip bomb": (
        says(answer(200, gzip.compress(bytes(1 << 20)), "Content-Encoding: gzip")),
        ANSWER,
    ),
    "length bomb": (floods(HEAD + b"Content-Length: 200000000\r\n\r\n", bytes(65536)), ANSWER),
    "endless chunks": (
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"ff\r\n" + bytes(255) + b"\r\n"),
        ANSWER,
    ),
    "endless continue": (floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200), ANSWER),
    "dripping head": (drips(HEAD + b"X: " + b"y" * 1000), AWAY),
    "dripping body": (drips(HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 1000), AWAY),
    "silence": (hostile.silent, AWAY),
    "hangs up": (hostile.hangs_up, AWAY),
    "breaks off": (hostile.breaks_off(HEAD + b"Content-Length: 99\r\n\r\n{"), AWAY),
    "502 of a balancer": (says(answer(502, b"<html>")), AWAY),
    "503 of a balancer": (says(answer(503, b"<html>")), AWAY),
    "500": (says(answer(500, b'{"errors": ["local node not active"]}')), AWAY),
    "sealed": (says(answer(503, b'{"errors": ["Vault is sealed"]}')), faults.TRANSIT_SEALED),
    "quota": (says(answer(429, b'{"errors": ["quota exceeded"]}')), faults.TRANSIT_BUSY),
    "teapot": (says(answer(418, b"{}")), ANSWER),
    "403 of a proxy": (says(answer(403, b"<html>")), ANSWER),
    "no mount": (says(answer(404, b'{"errors": ["no handler for route"]}')), faults.TRANSIT_PLACE),
    "redirect": (says(answer(307, b"", "Location: https://127.0.0.1:1/v1/x")), AWAY),
}


KEY = "transit/kleidi:1"
Attacked = Callable[..., TransitEngine]


@pytest.fixture
def attacked(authority: Authority, tmp_path: Path, make_engine: MakeEngine) -> Attacked:
    """A node of ours that holds a key and asks these addresses for it."""
    token = secret(tmp_path / "their-token", TOKEN)
    state = Held({Version.parse(KEY): Taken(bytes(32), bytes(60))}).state

    def make(*addresses: str, **changed: object) -> TransitEngine:
        given = {"ca_file": authority.certificate, "token_file": token, **changed}
        engine = make_engine(Access(addresses, **given), CALL_SECONDS)  # type: ignore[arg-type]
        engine.open(tmp_path, state)
        return engine

    return make


def wrapped(engine: TransitEngine) -> bytes:
    return engine.wrap(KEY, bytes(32), b"aad")


def away(call: Callable[[], object]) -> AwayError:
    """Why there are no bytes; nothing that it says has the token in it, and it took no longer than a call."""
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        call()
    assert time.monotonic() - began < LONGEST_SECONDS
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in str(error) + repr(error)
        error = error.__cause__ or error.__context__
    assert isinstance(caught.value, AwayError)
    return caught.value


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_never_bytes_and_never_longer_than_a_call(
    name: str, attacked: Attacked, authority: Authority
) -> None:
    behave, fault = BEHAVIOURS[name]
    with hostile.hostile(authority, behave) as server:
        engine = attacked(server.address)
        tracemalloc.start()
        try:
            assert away(lambda: wrapped(engine)).fault is fault
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # The hostile server's own buffers are in it.
        assert peak < 2 << 20


@pytest.mark.parametrize("name", ["HTML", "silence", "hangs up", "garbage", "sealed", "redirect"])
def test_the_next_node_answers_at_once(
    name: str, site: Site, authority: Authority, make_engine: MakeEngine
) -> None:
    made = site.take()
    with hostile.hostile(authority, BEHAVIOURS[name][0]) as server:
        engine = make_engine(replace(site.access, addresses=(server.address, site.server.address)))
        engine.open(site.directory, made.state)
        body = engine.wrap(made.object_id, bytes(32), b"aad")
        assert site.unwrap(made, body) == bytes(32)
        asked = len(server.received)
        for _ in range(5):
            engine.wrap(made.object_id, bytes(32), b"aad")
        assert len(server.received) == asked  # the one that answers is preferred


@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (403, "permission denied", faults.TRANSIT_DENIED),
        (400, "encryption key not found", faults.TRANSIT_KEY_GONE),
        (400, "version is too new", faults.TRANSIT_KEY_OFF),
        (404, "no handler for route", faults.TRANSIT_PLACE),
    ],
)
def test_a_node_that_has_not_caught_up_is_not_believed_alone(
    status: int, said: str, fault: Fault, attacked: Attacked, authority: Authority
) -> None:
    refuses = says(answer(status, json.dumps({"errors": [said]}).encode()))
    with hostile.hostile(authority, refuses) as behind, hostile.hostile(authority, ok(good())) as other:
        assert wrapped(attacked(behind.address, other.address)) == bytes(60)
        both = attacked(
            behind.address, behind.address.replace("127.0.0.1", "localhost"), server_name="127.0.0.1"
        )
        with pytest.raises((AwayError, OffError)) as caught:
            wrapped(both)
        assert isinstance(caught.value, AwayError | OffError)
        assert caught.value.fault is fault


def test_a_refusal_is_doubted_while_another_node_cannot_answer(
    attacked: Attacked, authority: Authority
) -> None:
    """A leader steps down: for a moment the one node that answers is one that has not caught up."""
    refuses = says(answer(403, b'{"errors": ["permission denied"]}'))
    turns = iter([answer(500, b"{}")] * 2)

    def later(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.sendall(next(turns, answer(200, json.dumps(good()).encode())))

    with hostile.hostile(authority, refuses) as behind, hostile.hostile(authority, later) as leader:
        assert wrapped(attacked(behind.address, leader.address)) == bytes(60)
    with hostile.hostile(authority, refuses) as one, hostile.hostile(authority, says(b"")) as gone:
        engine = attacked(one.address, gone.address)
        assert away(lambda: wrapped(engine)).fault in (faults.TRANSIT_DENIED, AWAY)


def test_what_decrypts_to_another_length_is_no_plaintext(attacked: Attacked, authority: Authority) -> None:
    with hostile.hostile(authority, ok({"data": {"plaintext": "QUFB"}})) as server:
        engine = attacked(server.address)
        assert away(lambda: engine.unwrap(KEY, bytes(60), b"aad")).fault is ANSWER


def test_a_second_answer_to_one_request_is_never_the_next_ones(
    attacked: Attacked, authority: Authority
) -> None:
    """Both in one go; what comes later than the next question cannot be told from its answer by anybody."""
    first = answer(200, json.dumps({"data": {"plaintext": "A" * 43 + "="}}).encode())
    second = answer(200, json.dumps({"data": {"plaintext": "B" * 42 + "A="}}).encode())

    def twice(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.sendall(first + second)

    with hostile.hostile(authority, twice) as server:
        engine = attacked(server.address)
        for _ in range(20):
            assert engine.unwrap(KEY, bytes(60), b"aad") == bytes(32)


@pytest.mark.parametrize("what", ["wrong authority", "expired", "other name", "other server name"])
def test_a_stranger_gets_not_one_byte(
    what: str, attacked: Attacked, authority: Authority, tmp_path: Path
) -> None:
    theirs = Authority(tmp_path / "theirs") if what == "wrong authority" else authority
    at = "127.0.0.2" if what == "other name" else "127.0.0.1"
    with hostile.hostile(theirs, ok(good()), days=-1 if what == "expired" else 1, at=at) as server:
        engine = attacked(server.address)
        if what == "other server name":
            engine = attacked(server.address, server_name="vault.example.com")
        assert away(lambda: wrapped(engine)).fault is faults.TRANSIT_TLS
        assert server.sent_to_it == b""


def test_a_server_name_is_what_the_certificate_must_say(attacked: Attacked, authority: Authority) -> None:
    with hostile.hostile(authority, ok(good()), at="127.0.0.2") as server:
        assert wrapped(attacked(server.address, server_name="127.0.0.2")) == bytes(60)
        assert TOKEN.encode() in server.sent_to_it


def test_a_redirect_does_not_get_the_token(attacked: Attacked, authority: Authority) -> None:
    with hostile.hostile(authority, ok(good())) as other:
        there = answer(307, b"", f"Location: {other.address}/v1/transit/encrypt/kleidi")
        with hostile.hostile(authority, says(there)) as server:
            engine = attacked(server.address)
            assert away(lambda: wrapped(engine)).fault is AWAY
        assert other.connections == 0


@pytest.mark.parametrize("status", [0, 400, 403, 404, 500, 503])
def test_a_token_thrown_back_is_not_quoted(status: int, attacked: Attacked, authority: Authority) -> None:
    echo = json.dumps({"errors": [f"bad token {TOKEN}"]}).encode()
    thrown = answer(status, echo) if status else f"{TOKEN}\r\n\r\n".encode()
    with hostile.hostile(authority, says(thrown)) as server:
        engine = attacked(server.address)
        away(lambda: wrapped(engine))


def test_an_address_where_nobody_is_or_tls_never_ends(attacked: Attacked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # the kernel takes the connection, and that is all
        port = mute.getsockname()[1]
        never = attacked(f"https://127.0.0.1:{port}")
        assert away(lambda: wrapped(never)).fault is AWAY
    nobody = attacked(f"https://127.0.0.1:{port}", "https://no-such-host.invalid:8200")
    assert away(lambda: wrapped(nobody)).fault is AWAY


def test_a_lookup_that_hangs_does_not_hold_a_call(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: free.wait(30) and [])
    engine = attacked("https://vault.example.com:8200")
    try:
        assert away(lambda: wrapped(engine)).fault is AWAY
    finally:
        free.set()


def test_while_lookups_hang_the_last_addresses_are_used(
    attacked: Attacked, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, free = socket.getaddrinfo, threading.Event()
    with hostile.hostile(authority, ok(good())) as server:
        address = server.address.replace("127.0.0.1", "localhost")
        engine = attacked(address, server_name="127.0.0.1")
        assert wrapped(engine) == bytes(60)
        engine.client.close()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: free.wait(30) and [])
        try:
            assert wrapped(engine) == bytes(60)
        finally:
            free.set()
            monkeypatch.setattr(socket, "getaddrinfo", real)


def test_an_authority_that_is_exchanged_is_read_again(
    attacked: Attacked, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "ca.crt"
    with hostile.hostile(authority, ok(good())) as server:
        engine = attacked(server.address, ca_file=file)
        assert away(lambda: wrapped(engine)).fault is faults.TRANSIT_TLS
        for trusted in (Authority(tmp_path / "other"), authority):
            (tmp_path / "new.crt").write_bytes(trusted.certificate.read_bytes())
            (tmp_path / "new.crt").rename(file)
            if trusted is not authority:
                assert away(lambda: wrapped(engine)).fault is faults.TRANSIT_TLS
        assert wrapped(engine) == bytes(60)


def test_a_connection_that_was_closed_meanwhile_is_not_noticed(
    attacked: Attacked, authority: Authority
) -> None:
    def once(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.sendall(answer(200, json.dumps(good()).encode()))
        connection.close()

    with hostile.hostile(authority, once) as server:
        engine = attacked(server.address)
        assert [wrapped(engine) for _ in range(10)] == [bytes(60)] * 10
        assert server.connections == 10


def test_a_connection_is_kept_for_the_next_call(attacked: Attacked, authority: Authority) -> None:
    with hostile.hostile(authority, ok(good())) as server:
        engine = attacked(server.address)
        assert [wrapped(engine) for _ in range(20)] == [bytes(60)] * 20
        assert server.connections == 1


def test_a_request_wakes_the_server_once(attacked: Attacked, authority: Authority) -> None:
    with hostile.hostile(authority, ok(good())) as server:
        attacked(server.address).wrap(KEY, bytes(32), b"aad")
        assert server.records == len(server.received) == 1


def test_a_look_at_the_known_answer_makes_no_call_longer(attacked: Attacked, authority: Authority) -> None:
    """The tag does not fit, and then the server hangs: the second question has no time of its own."""
    refusal = answer(400, b'{"errors": ["cipher: message authentication failed"]}')

    def behave(connection: ssl.SSLSocket, request: bytes) -> None:
        if b"batch_input" in request:
            hostile.silent(connection, request)
        else:
            connection.sendall(refusal)

    with hostile.hostile(authority, behave) as server, ThreadPoolExecutor(4) as lanes:
        engine = attacked(server.address)
        asked = [
            lanes.submit(lambda: away(lambda: engine.unwrap(KEY, bytes(60), b"aad")).fault) for _ in range(4)
        ]
        assert {each.result() for each in asked} == {AWAY}


def test_neither_proxies_nor_other_clients_settings_are_read(
    attacked: Attacked, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "VAULT_ADDR", "BAO_ADDR"):
        monkeypatch.setenv(name, "https://127.0.0.1:1")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with hostile.hostile(authority, ok(good())) as server:
        assert wrapped(attacked(server.address)) == bytes(60)
    assert not (tmp_path / "keys").exists()
    monkeypatch.setenv("VAULT_SKIP_VERIFY", "1")
    with hostile.hostile(Authority(tmp_path / "theirs"), ok(good())) as server:
        engine = attacked(server.address)
        assert away(lambda: wrapped(engine)).fault is faults.TRANSIT_TLS


def test_a_connection_that_was_reset_at_once_is_left_behind_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(_names: object, _until: float) -> socket.socket:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        return ours

    monkeypatch.setattr(wire, "_connected", reset)
    context, until = ssl.create_default_context(), time.monotonic() + 30
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(OSError, match=r"not connected|reset"):
            Connection.open("localhost", 1, Names("localhost", 1), context, "localhost", until)
    assert [str(each.message) for each in told] == []
