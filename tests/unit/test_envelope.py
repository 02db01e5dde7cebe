"""The bytes in etcd, forever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.envelope import (
    MAX_PLAINTEXT,
    MAX_SIZE,
    OVERHEAD,
    Envelope,
    associated_data,
)
from tests.fakes import FakeCipher

# Made once, with cryptography's AESGCM. Neither these bytes nor what they mean may ever change.
GOLDEN_KEY = bytes(range(32))
GOLDEN_KEY_ID = "kleidi/0123456789ab/v1/fedcba987654"
GOLDEN_PLAINTEXT = b"the seed of a data key, 32 bytes"
GOLDEN_ENVELOPE = bytes.fromhex(
    "01101112131415161718191a1b"
    "0996fd363aac5fd7ea1a6e3d6e590d32a3316e657ebb7b91d4cbc205272031a8"
    "87df8bb75ff58a18a49da2ded8f7c9aa"
)


@given(st.binary(min_size=29, max_size=MAX_PLAINTEXT + 28))
def test_comes_back_from_its_bytes(body: bytes) -> None:
    envelope = Envelope(body)
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope


@given(st.binary(max_size=MAX_SIZE + 8) | st.binary(max_size=MAX_SIZE).map(lambda tail: b"\x01" + tail))
def test_any_bytes_are_an_envelope_or_its_own_error(data: bytes) -> None:
    try:
        envelope = Envelope.from_bytes(data)
    except KleidiError as error:
        assert error.fault is faults.ENVELOPE_INVALID  # noqa: PT017
    else:
        assert envelope.to_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01" * OVERHEAD,
        b"\x01" * (MAX_SIZE + 1),
        b"\x00" * 64,
        b"\x02" * 64,
        b"k8s:enc:kms:v2:kleidi:" + bytes(64),
    ],
    ids=["empty", "short", "nothing inside", "too long", "format 0", "format 2", "another's prefix"],
)
def test_refuses_what_is_no_envelope(data: bytes) -> None:
    with pytest.raises(KleidiError) as caught:
        Envelope.from_bytes(data)
    assert caught.value.fault is faults.ENVELOPE_INVALID


def test_the_largest_plaintext_fills_what_the_api_server_takes() -> None:
    assert MAX_SIZE == 1024
    assert len(Envelope(bytes(MAX_PLAINTEXT + 28)).to_bytes()) == MAX_SIZE
    assert f"1 to {MAX_PLAINTEXT} bytes" in faults.PLAINTEXT_SIZE.sentence


def test_the_golden_envelope_opens_forever() -> None:
    envelope = Envelope.from_bytes(GOLDEN_ENVELOPE)
    cipher = FakeCipher({"golden": GOLDEN_KEY})
    aad = associated_data(GOLDEN_KEY_ID)
    assert cipher.unwrap("golden", envelope.body, aad) == GOLDEN_PLAINTEXT


def test_the_tag_covers_format_and_key_id() -> None:
    assert associated_data(GOLDEN_KEY_ID) == b"\x01" + GOLDEN_KEY_ID.encode()
