from collections.abc import Callable
from functools import partial

import grpc
import pytest

from appliance import faults
from appliance.faults import Fault
from appliance.keys.envelope import MAX_PLAINTEXT, OVERHEAD
from appliance.keys.keyset import KeyState
from appliance.service import limits
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import Client, Refusal, refused
from tests.service.running import Running

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UID = "7c1f0e9a-0a3b-4c55-9a27-3a1d8f6f0b21"
SECRET = b"thirty-two bytes of a seed, here"


def says(fault: Fault, code: grpc.StatusCode, uid: str = UID, said: str = "") -> Refusal:
    return Refusal(code, " ".join(part for part in (str(fault), said, uid and f"uid={uid}") if part))


@pytest.mark.parametrize("method", ["Encrypt", "Decrypt", "Status"])
@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x0a\x05abc", b"\x12\x02\xff\xfe", b"\x00" * 7, b"\x0a" + b"\xff" * 11],
    ids=["no tag", "cut off", "not UTF-8", "field 0", "endless length"],
)
def test_a_message_that_cannot_be_parsed_is_invalid(unharmed: Client, method: str, data: bytes) -> None:
    if method == "Status" and data == b"\x12\x02\xff\xfe":
        data = b"\x12\x09"  # Status has no text that could be wrong
    assert refused(lambda: unharmed.send(method, data)) == says(faults.REQUEST_INVALID, INVALID, uid="")


@pytest.mark.parametrize("size", [1, 32, MAX_PLAINTEXT])
def test_a_plaintext_of_this_size_is_taken(unharmed: Client, size: int) -> None:
    wrapped = unharmed.encrypt(bytes(size))
    assert len(wrapped.ciphertext) == size + OVERHEAD <= 1024
    assert unharmed.open(wrapped) == bytes(size)


@pytest.mark.parametrize("size", [0, MAX_PLAINTEXT + 1, 1024, 40_000])
def test_a_plaintext_of_this_size_is_invalid(unharmed: Client, size: int) -> None:
    answer = refused(lambda: unharmed.encrypt(bytes(size), UID))
    assert answer == says(faults.PLAINTEXT_SIZE, INVALID)


@pytest.mark.parametrize("method", ["Encrypt", "Decrypt", "Status"])
@pytest.mark.parametrize("size", [limits.REQUEST, 50_000, limits.MESSAGE - 4])
def test_a_request_beyond_the_limit_is_refused_unread(unharmed: Client, method: str, size: int) -> None:
    data = pb.EncryptRequest(plaintext=bytes(size)).SerializeToString()
    assert refused(lambda: unharmed.send(method, data)) == says(faults.REQUEST_INVALID, INVALID, uid="")


def test_a_small_request_that_unpacks_to_a_large_one_is_refused(unharmed: Client) -> None:
    data = pb.EncryptRequest(plaintext=bytes(8_000_000)).SerializeToString()
    answer = refused(lambda: unharmed.send("Encrypt", data, grpc.Compression.Gzip))
    assert answer == says(faults.REQUEST_INVALID, INVALID, uid="")


@pytest.mark.parametrize("size", [limits.MESSAGE + 1, 8_000_000, 17 * 1024 * 1024])
def test_a_request_that_no_transport_should_carry_is_dropped_by_it(unharmed: Client, size: int) -> None:
    # gRPC's core answers by itself, before any code of ours sees the message.
    answer = refused(lambda: unharmed.send("Encrypt", bytes(size)))
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_truncated_ciphertext_is_invalid_or_fails_its_authentication(
    unharmed: Client, shared: Running
) -> None:
    envelope, key_id = shared.scene.wrap(KeyState.PRIMARY, SECRET), shared.scene.key().id
    for size in range(len(envelope)):
        answer = refused(partial(unharmed.decrypt, key_id, envelope[:size], UID))
        expected = (
            says(faults.ENVELOPE_INVALID, INVALID)
            if size <= OVERHEAD
            else says(faults.CIPHERTEXT_TAMPERED, grpc.StatusCode.DATA_LOSS)
        )
        assert answer == expected


@pytest.mark.parametrize(
    "change",
    [lambda envelope: b"\x02" + envelope[1:], lambda _: bytes(1025), lambda _: b"k8s:enc:aesgcm:v1:" * 4],
    ids=["another format", "longer than any", "another plugin's"],
)
def test_a_foreign_ciphertext_is_invalid(
    unharmed: Client, shared: Running, change: Callable[[bytes], bytes]
) -> None:
    envelope = change(shared.scene.wrap(KeyState.PRIMARY, SECRET))
    answer = refused(lambda: unharmed.decrypt(shared.scene.key().id, envelope, UID))
    assert answer == says(faults.ENVELOPE_INVALID, INVALID)


@pytest.mark.parametrize(
    ("key_id", "fault", "code"),
    [
        ("", faults.KEY_ID_INVALID, INVALID),
        ("x" * 1025, faults.KEY_ID_INVALID, INVALID),
        ("kleidi/" + "x" * 2000, faults.KEY_ID_INVALID, INVALID),
        ("kleidi/κλειδί/v1", faults.KEY_ID_INVALID, INVALID),
        ("kleidi/\x1b[31m/v1", faults.KEY_ID_INVALID, INVALID),
        ("kleidi/0123456789ab/v9/000000000000", faults.KEY_UNKNOWN, grpc.StatusCode.NOT_FOUND),
        ("kleidi/ba9876543210/v1/000000000000", faults.KEY_UNKNOWN, grpc.StatusCode.NOT_FOUND),
        ("mock-kms-provider-key", faults.KEY_UNKNOWN, grpc.StatusCode.NOT_FOUND),
        ("x" * 1024, faults.KEY_UNKNOWN, grpc.StatusCode.NOT_FOUND),
    ],
    ids=[
        "empty",
        "longer than any",
        "2 kB",
        "not ASCII",
        "control characters",
        "of our lineage",
        "of another lineage",
        "another plugin's",
        "as long as may be",
    ],
)
def test_a_key_id_that_is_not_ours_is_refused(
    unharmed: Client, shared: Running, key_id: str, fault: Fault, code: grpc.StatusCode
) -> None:
    envelope = shared.scene.wrap(KeyState.PRIMARY, SECRET)
    assert refused(lambda: unharmed.decrypt(key_id, envelope, UID)) == says(fault, code)


@pytest.mark.parametrize(
    "annotations",
    [{"kms.example.org": b"1"}, {"": b""}, {str(n): bytes(1000) for n in range(30)}],
    ids=["one", "an empty one", "30 kB"],
)
def test_annotations_that_we_never_made_are_refused(
    unharmed: Client, shared: Running, annotations: dict[str, bytes]
) -> None:
    envelope, key_id = shared.scene.wrap(KeyState.PRIMARY, SECRET), shared.scene.key().id
    request = pb.DecryptRequest(ciphertext=envelope, key_id=key_id, uid=UID, annotations=annotations)
    answer = refused(lambda: unharmed.stub.Decrypt(request))
    assert answer == says(faults.ANNOTATIONS, INVALID)


@pytest.mark.parametrize(
    ("state", "fault"),
    [(KeyState.DISABLED, faults.KEY_DISABLED), (KeyState.DESTROYED, faults.KEY_DESTROYED)],
    ids=["disabled", "destroyed"],
)
def test_a_key_that_was_switched_off_opens_nothing(
    unharmed: Client, shared: Running, state: KeyState, fault: Fault
) -> None:
    envelope = shared.scene.wrap(state, SECRET)
    answer = refused(lambda: unharmed.decrypt(shared.scene.key(state).id, envelope, UID))
    since = f"{state} on {shared.scene.key(state).since.date}."
    assert answer == says(fault, grpc.StatusCode.FAILED_PRECONDITION, said=since)


@pytest.mark.parametrize(
    ("uid", "shown"),
    [
        ("a\nb\x00c\x1b[31md", "a?b?c?[31md"),
        ("κλειδί", "??????"),
        ("u" * 10_000, "u" * 64),
        ("50%\t\r", "50%??"),
    ],
    ids=["control characters", "not ASCII", "10 kB", "percent"],
)
def test_a_strange_uid_is_shown_short_and_printable(unharmed: Client, uid: str, shown: str) -> None:
    answer = refused(lambda: unharmed.encrypt(b"", uid))
    assert answer == says(faults.PLAINTEXT_SIZE, INVALID, uid=shown)
    assert unharmed.encrypt(SECRET, uid).ciphertext


def test_a_method_that_nobody_defined_is_unimplemented(unharmed: Client) -> None:
    assert refused(lambda: unharmed.send("Rotate", b"")).code is grpc.StatusCode.UNIMPLEMENTED
