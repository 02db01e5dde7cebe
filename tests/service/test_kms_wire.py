import grpc
import pytest

from appliance.service import limits
from appliance.service.transports import NGHTTP2
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import Client, connected, refused
from tests.service.journal import Journal
from tests.service.running import Running, until


@pytest.mark.parametrize(
    ("method", "request_", "reply"),
    [
        ("Status", pb.StatusRequest(), pb.StatusResponse),
        ("Encrypt", pb.EncryptRequest(plaintext=b"seed", uid="u"), pb.EncryptResponse),
    ],
    ids=["Status", "Encrypt"],
)
def test_answers_at_the_path_that_kubernetes_calls(
    client: Client,
    method: str,
    request_: pb.StatusRequest | pb.EncryptRequest,
    reply: type[pb.StatusResponse | pb.EncryptResponse],
) -> None:
    answer = reply.FromString(client.send(method, request_.SerializeToString()))
    assert answer.key_id.startswith("kleidi/")


def test_decrypt_answers_at_the_path_that_kubernetes_calls(client: Client) -> None:
    wrapped = client.encrypt(b"seed")
    request = pb.DecryptRequest(ciphertext=wrapped.ciphertext, key_id=wrapped.key_id, uid="u")
    answer = pb.DecryptResponse.FromString(client.send("Decrypt", request.SerializeToString()))
    assert answer.plaintext == b"seed"


@pytest.mark.parametrize(
    "authority", ["localhost", "kleidi.example.org:443", "%2Frun%2Fkms.sock", "[::1]", "a" * 250]
)
def test_the_authority_does_not_matter(running: Running, authority: str) -> None:
    with connected(running.scene.socket, authority) as client:
        assert client.status().healthz == "ok"


def test_two_connections_at_once_open_what_each_other_wrapped(running: Running) -> None:
    with connected(running.scene.socket) as one, connected(running.scene.socket) as other:
        assert one.status() == other.status()
        assert other.open(one.encrypt(b"from one")) == b"from one"
        assert one.open(other.encrypt(b"from other")) == b"from other"


def test_the_callers_deadline_is_honoured_while_the_cipher_hangs(
    running: Running, client: Client, journal: Journal
) -> None:
    running.scene.engine.hang()
    answer = refused(lambda: client.encrypt(b"seed", "in a hurry", timeout=0.3))
    assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
    running.scene.engine.release()
    assert client.open(client.encrypt(b"seed", "patient")) == b"seed"
    until(lambda: journal.lines(uid="patient"), "the good call is logged")


def test_metadata_that_nobody_asked_for_does_no_harm(client: Client) -> None:
    answer = client.stub.Status(
        pb.StatusRequest(), metadata=(("traceparent", "00-0-0-00"), ("x-bin", b"\x00"))
    )
    assert answer.healthz == "ok"


@pytest.mark.parametrize("size", [limits.METADATA, 60_000, 100_000])
def test_metadata_beyond_the_limit_is_refused_and_the_next_call_works(
    client: Client, transport: str, size: int
) -> None:
    answer = refused(lambda: client.stub.Status(pb.StatusRequest(), metadata=(("x", "y" * size),)))
    # nghttp2 reads no value of more than 64 KiB, and cannot skip what it did not read: the connection ends.
    unread = transport == NGHTTP2 and size > 65_536
    assert answer.code is (grpc.StatusCode.UNAVAILABLE if unread else grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert client.status().healthz == "ok"


def test_the_admin_service_is_not_on_the_api_servers_socket(running: Running, client: Client) -> None:
    assert running.report().state == "OPERATIONAL"
    call = client.channel.unary_unary("/kleidi.admin.v1.Admin/Report", lambda data: data, lambda data: data)
    assert refused(lambda: call(b"")).code is grpc.StatusCode.UNIMPLEMENTED
