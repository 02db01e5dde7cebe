"""What stored bytes say about how they are encrypted."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.usage.stored import Kind, Stored, read
from tests.usage.values import KEY_ID, KMS_V2, PLAIN, kms_v2

AES = b"k8s:enc:aescbc:v1:key1:"
FORMS = [KMS_V2, b"k8s:enc:kms:v1:", b"k8s:enc:aescbc:v1:", b"k8s:enc:aesgcm:v1:", b"k8s:enc:secretbox:v1:"]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (kms_v2(), Stored(Kind.KMS_V2, "kleidi", KEY_ID)),
        (kms_v2("their own: id", provider=b"vault"), Stored(Kind.KMS_V2, "vault", "their own: id")),
        (kms_v2(source_type=0), Stored(Kind.KMS_V2, "kleidi", KEY_ID)),
        (kms_v2("k" * 1024), Stored(Kind.KMS_V2, "kleidi", "k" * 1024)),
        (b"k8s:enc:kms:v1:old:\x00\x20" + bytes(32) + bytes(48), Stored(Kind.KMS_V1, "old")),
        (AES + bytes(32), Stored(Kind.AESCBC, "", "key1")),
        (b"k8s:enc:aesgcm:v1:key2:" + bytes(29), Stored(Kind.AESGCM, "", "key2")),
        (b"k8s:enc:secretbox:v1:key3:" + bytes(41), Stored(Kind.SECRETBOX, "", "key3")),
        (PLAIN, Stored(Kind.IDENTITY)),
        (b'{"kind":"Widget"}', Stored(Kind.IDENTITY)),
        (b"\xd9\xd9\xf7\xa1", Stored(Kind.IDENTITY)),
        (b"k8s:enc:kms:v3:next:content", Stored(Kind.UNKNOWN_PROVIDER, "kms")),
        (b"k8s:enc:magic:v1:content", Stored(Kind.UNKNOWN_PROVIDER, "magic")),
        (b"12345", Stored(Kind.FOREIGN)),
        (b"\x00", Stored(Kind.FOREIGN)),
    ],
)
def test_knows_every_form(value: bytes, stored: Stored) -> None:
    assert read(value) == stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (kms_v2(data=b""), Stored(Kind.DAMAGED, "kleidi", KEY_ID)),
        (kms_v2(source=b""), Stored(Kind.DAMAGED, "kleidi", KEY_ID)),
        (kms_v2(source=bytes(1025)), Stored(Kind.DAMAGED, "kleidi", KEY_ID)),
        (kms_v2(source_type=2), Stored(Kind.DAMAGED, "kleidi", KEY_ID)),
        (kms_v2(""), Stored(Kind.DAMAGED, "kleidi")),
        (kms_v2("k" * 1025), Stored(Kind.DAMAGED, "kleidi", "k" * 1025)),
        (KMS_V2 + b"kleidi:", Stored(Kind.DAMAGED, "kleidi")),
        (KMS_V2 + b"kleidi:\x12\x01\xff", Stored(Kind.DAMAGED, "kleidi")),
        (KMS_V2 + b"kleidi", Stored(Kind.DAMAGED)),
        (KMS_V2 + b":content", Stored(Kind.DAMAGED)),
        (b"k8s:enc:kms:v1:old:\x00\x20" + bytes(32), Stored(Kind.DAMAGED, "old")),
        (b"k8s:enc:kms:v1:old:\x00\x00" + bytes(32), Stored(Kind.DAMAGED, "old")),
        (AES + bytes(33), Stored(Kind.DAMAGED, "", "key1")),
        (AES + bytes(16), Stored(Kind.DAMAGED, "", "key1")),
        (b"k8s:enc:aesgcm:v1:key2:" + bytes(27), Stored(Kind.DAMAGED, "", "key2")),
        (b"k8s:enc:secretbox:v1:key3:" + bytes(39), Stored(Kind.DAMAGED, "", "key3")),
        (b"k8s:enc:", Stored(Kind.DAMAGED)),
        (b"k8s:en", Stored(Kind.DAMAGED)),
        (b"", Stored(Kind.DAMAGED)),
    ],
)
def test_what_the_api_server_would_refuse_is_damaged(value: bytes, stored: Stored) -> None:
    assert read(value) == stored


@pytest.mark.parametrize("whole", [kms_v2(), AES + bytes(32)], ids=["kms-v2", "aescbc"])
def test_every_cut_is_damage_and_never_another_kind(whole: bytes) -> None:
    assert {read(whole[:size]).kind for size in range(len(whole))} <= {Kind.DAMAGED, read(whole).kind}
    assert all(read(whole[:size]).kind is Kind.DAMAGED for size in range(len(AES) + 16))


@given(st.sampled_from([b"", b"k8s:enc:", *FORMS, KMS_V2 + b"kleidi:", AES]), st.binary(max_size=200))
@example(b"", b"")
def test_any_bytes_get_an_answer(prefix: bytes, rest: bytes) -> None:
    stored = read(prefix + rest)
    assert isinstance(stored, Stored)
    if prefix.startswith(b"k8s:enc:"):
        assert stored.kind not in (Kind.IDENTITY, Kind.FOREIGN)


@given(st.integers(0), st.binary(min_size=1, max_size=20))
def test_any_change_to_a_stored_value_gets_an_answer(where: int, patch: bytes) -> None:
    value = bytearray(kms_v2())
    where %= len(value)
    value[where : where + len(patch)] = patch
    assert isinstance(read(bytes(value)), Stored)


@given(st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable()))
def test_a_key_id_is_read_back(key_id: str) -> None:
    assert read(kms_v2(key_id)) == (Kind.KMS_V2, "kleidi", key_id)
