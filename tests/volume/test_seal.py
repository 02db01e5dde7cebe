"""A sealed file opens with its key, exactly as it was, or not at all."""

import hashlib
import secrets
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.volume.seal import Header, read_header, seal, unseal
from appliance.volume.slot import Slot, SlotKey
from tests.volume.house import refused

HEADER = Header("0123456789ab", 7)
KEY = SlotKey("file", secrets.token_bytes(32))
OTHER = SlotKey("file", secrets.token_bytes(32))
PAYLOAD = b"what is kept " * 20
SEALED = seal(HEADER, PAYLOAD, [KEY])
# "kleidi-seal 1\n", four bytes of length, then the header.
FRONT = 14
SIZE = int.from_bytes(SEALED[FRONT : FRONT + 4], "big")


def rehashed(body: bytes) -> bytes:
    """*body* with a closing hash that fits: what somebody who means it would write."""
    return body + hashlib.sha256(body).digest()


def with_header(header: bytes, rest: bytes | None = None) -> bytes:
    tail = SEALED[FRONT + 4 + SIZE : -32] if rest is None else rest
    return rehashed(SEALED[:FRONT] + len(header).to_bytes(4, "big") + header + tail)


def fault_of(data: bytes, key: SlotKey = KEY) -> Fault:
    return refused(lambda: unseal(data, [key]))


@given(st.binary(max_size=2000))
def test_comes_back_as_it_was(payload: bytes) -> None:
    header, opened = unseal(seal(HEADER, payload, [KEY]), [KEY])
    assert opened == payload
    assert (header.lineage, header.generation) == (HEADER.lineage, HEADER.generation)


def test_nothing_of_the_payload_or_the_key_shows() -> None:
    for secret in (PAYLOAD[:13], KEY.secret, KEY.secret.hex().encode()):
        assert secret not in SEALED
    assert KEY.secret.hex() not in repr(KEY)
    assert "secret" not in repr(KEY)


def test_two_seals_of_the_same_share_nothing_but_the_front() -> None:
    again = seal(HEADER, PAYLOAD, [KEY])
    assert again[FRONT + 4 + SIZE :] != SEALED[FRONT + 4 + SIZE :]
    assert read_header(again).slots != read_header(SEALED).slots


def test_one_flipped_bit_anywhere_is_refused() -> None:
    allowed = {faults.SEAL_CORRUPT, faults.SEAL_NEWER}
    for place in range(len(SEALED)):
        changed = bytearray(SEALED)
        changed[place] ^= 1 << place % 8
        assert fault_of(bytes(changed)) in allowed, place


@pytest.mark.parametrize("bit", range(8))
def test_one_flipped_bit_is_refused_even_when_the_hash_is_made_to_fit(bit: int) -> None:
    allowed = {faults.SEAL_CORRUPT, faults.SEAL_NEWER, faults.SEAL_KEY_WRONG}
    for place in range(len(SEALED) - 32):
        changed = bytearray(SEALED[:-32])
        changed[place] ^= 1 << bit
        assert fault_of(rehashed(bytes(changed))) in allowed, place


def test_every_truncation_is_refused() -> None:
    for size in range(len(SEALED)):
        assert fault_of(SEALED[:size]) is faults.SEAL_CORRUPT
        if size != len(SEALED) - 32:
            assert fault_of(rehashed(SEALED[:size])) in (faults.SEAL_CORRUPT, faults.SEAL_KEY_WRONG)


def test_something_appended_is_refused() -> None:
    assert fault_of(SEALED + b"\x00") is faults.SEAL_CORRUPT
    assert fault_of(rehashed(SEALED[:-32] + b"\x00")) is faults.SEAL_CORRUPT


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: SEALED[:FRONT] + tail))
def test_any_bytes_are_refused_with_an_error_of_its_own(data: bytes) -> None:
    assert fault_of(data) in (faults.SEAL_CORRUPT, faults.SEAL_NEWER)
    assert fault_of(rehashed(data)) in (faults.SEAL_CORRUPT, faults.SEAL_NEWER, faults.SEAL_KEY_WRONG)


def test_a_wrong_key_is_told_from_a_damaged_file() -> None:
    assert fault_of(SEALED, OTHER) is faults.SEAL_KEY_WRONG
    assert fault_of(SEALED[:-1], OTHER) is faults.SEAL_CORRUPT


def test_a_key_of_another_kind_is_a_wrong_key() -> None:
    assert fault_of(SEALED, SlotKey("volume", KEY.secret)) is faults.SEAL_KEY_WRONG


def test_a_newer_format_is_told_from_a_damaged_file() -> None:
    newer = SEALED.replace(b"kleidi-seal 2\n", b"kleidi-seal 3\n", 1)
    assert fault_of(newer) is faults.SEAL_NEWER
    assert refused(lambda: read_header(newer)) is faults.SEAL_NEWER
    assert fault_of(rehashed(b"kleidi-seal 31\nwhatever comes then")) is faults.SEAL_NEWER


@pytest.mark.parametrize(
    "line", [b"kleidi-seal 0\n", b"kleidi-seal 01\n", b"kleidi-seal \n", b"KLEIDI-SEAL 1\n"]
)
def test_another_first_line_is_refused(line: bytes) -> None:
    assert fault_of(rehashed(line + SEALED[FRONT:-32])) is faults.SEAL_CORRUPT


def test_every_key_opens_it_and_each_alone() -> None:
    sealed = seal(HEADER, PAYLOAD, [KEY, OTHER])
    assert unseal(sealed, [KEY])[1] == unseal(sealed, [OTHER])[1] == PAYLOAD


def test_a_slot_of_an_unknown_kind_is_carried_along_and_another_still_opens() -> None:
    class Future(SlotKey):
        def wrap(self, data_key: bytes, context: bytes) -> Slot:
            del data_key, context
            return Slot("tpm", {"blob": "beyond this version", "pcrs": "0,7"})

    sealed = seal(HEADER, PAYLOAD, [Future("tpm", bytes(32)), KEY])
    header, opened = unseal(sealed, [KEY])
    assert opened == PAYLOAD
    assert header.slots[0] == Slot("tpm", {"blob": "beyond this version", "pcrs": "0,7"})
    assert Header(HEADER.lineage, 8, header.slots).to_bytes().count(b"beyond this version") == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"generation":7', b'"generation":8'),
        lambda text: text.replace(b"0123456789ab", b"ffffffffffff"),
        lambda text: text.replace(b'"kind":"file"', b'"kind":"fire"'),
        lambda text: text + b" ",
        lambda text: text.replace(b"{", b'{"more":1,', 1),
    ],
    ids=["generation", "lineage", "slot kind", "a blank", "a field"],
)
def test_a_changed_header_opens_nothing(change: Callable[[bytes], bytes]) -> None:
    original = SEALED[FRONT + 4 : FRONT + 4 + SIZE]
    assert change(original) != original
    assert fault_of(with_header(change(original))) in (faults.SEAL_CORRUPT, faults.SEAL_KEY_WRONG)


def test_a_header_of_another_file_opens_nothing() -> None:
    other = seal(HEADER, b"another payload", [KEY])
    size = int.from_bytes(other[FRONT : FRONT + 4], "big")
    assert fault_of(with_header(other[FRONT + 4 : FRONT + 4 + size])) is faults.SEAL_CORRUPT


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"generation":1e999,"lineage":"0123456789ab","slots":[]}',
        b'{"generation":1,"lineage":"0123456789ab","slots":7}',
        b'{"generation":1,"lineage":"0123456789ab","slots":[7]}',
        b'{"generation":1,"lineage":"0123456789ab","slots":[{"kind":"file","values":7}]}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=["empty", "null", "list", "object", "infinite", "slots", "slot", "values", "deep", "not text"],
)
def test_a_header_that_is_none_is_refused_with_an_error_of_its_own(header: bytes) -> None:
    assert fault_of(with_header(header)) is faults.SEAL_CORRUPT


@pytest.mark.parametrize(
    "values", ["{}", '{"salt":"zz","nonce":"","wrapped":""}', '{"salt":1,"nonce":2,"wrapped":3}']
)
def test_a_slot_without_sense_is_refused_with_an_error_of_its_own(values: str) -> None:
    slot = '{"kind":"file","values":' + values + "}"
    header = '{"generation":7,"lineage":"0123456789ab","slots":[' + slot + "]}"
    assert fault_of(with_header(header.encode())) is faults.SEAL_CORRUPT


def test_nothing_left_behind_the_header_is_refused() -> None:
    assert fault_of(with_header(SEALED[FRONT + 4 : FRONT + 4 + SIZE], rest=b"")) is faults.SEAL_CORRUPT


def test_the_header_reads_without_a_key() -> None:
    header = read_header(SEALED)
    assert (header.lineage, header.generation, [slot.kind for slot in header.slots]) == (
        "0123456789ab",
        7,
        ["file"],
    )


def test_an_error_never_tells_a_secret() -> None:
    with pytest.raises(KleidiError) as caught:
        unseal(SEALED, [OTHER])
    assert OTHER.secret.hex() not in str(caught.value)
