import random
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import pytest

from appliance.keys.envelope import OVERHEAD
from appliance.keys.keyset import KeyState
from tests.service.client import Client, refused
from tests.service.running import Running

SEED = bytes(range(32))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_the_same_plaintext_never_gives_the_same_ciphertext(unharmed: Client) -> None:
    answers = [unharmed.encrypt(SEED) for _ in range(200)]
    assert len({answer.ciphertext for answer in answers}) == 200
    assert len({answer.ciphertext[1:13] for answer in answers}) == 200
    assert {unharmed.open(answer) for answer in answers} == {SEED}


def test_an_envelope_is_small_and_carries_no_annotations(unharmed: Client) -> None:
    answer = unharmed.encrypt(SEED)
    assert len(answer.ciphertext) == len(SEED) + OVERHEAD
    assert answer.ciphertext[0] == 1
    assert not answer.annotations


def test_the_uid_binds_nothing(unharmed: Client) -> None:
    wrapped = unharmed.encrypt(SEED, "one")
    for uid in ("", "one", "another"):
        assert unharmed.decrypt(wrapped.key_id, wrapped.ciphertext, uid) == SEED


@pytest.mark.parametrize("state", [KeyState.STAGED, KeyState.PRIMARY, KeyState.RETIRED])
def test_a_key_in_this_state_still_opens(unharmed: Client, shared: Running, state: KeyState) -> None:
    envelope = shared.scene.wrap(state, SEED)
    assert unharmed.decrypt(shared.scene.key(state).id, envelope) == SEED


def test_no_flipped_bit_of_a_ciphertext_is_ever_answered_with_bytes(unharmed: Client) -> None:
    wrapped = unharmed.encrypt(SEED)
    for bit in range(len(wrapped.ciphertext) * 8):
        envelope = flipped(wrapped.ciphertext, bit)
        answer = refused(partial(unharmed.decrypt, wrapped.key_id, envelope, "u"))
        in_format_byte = bit < 8
        assert answer.code is (
            grpc.StatusCode.INVALID_ARGUMENT if in_format_byte else grpc.StatusCode.DATA_LOSS
        )
        assert answer.text.endswith(" uid=u")


def test_no_flipped_bit_of_a_key_id_is_ever_answered_with_bytes(unharmed: Client) -> None:
    wrapped = unharmed.encrypt(SEED)
    for bit in range(len(wrapped.key_id) * 8):
        key_id = flipped(wrapped.key_id.encode(), bit).decode("latin-1")
        answer = refused(partial(unharmed.decrypt, key_id, wrapped.ciphertext))
        assert answer.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize("state", [KeyState.STAGED, KeyState.RETIRED])
def test_an_envelope_under_another_key_of_ours_fails_its_authentication(
    unharmed: Client, shared: Running, state: KeyState
) -> None:
    envelope = shared.scene.wrap(KeyState.PRIMARY, SEED)
    answer = refused(lambda: unharmed.decrypt(shared.scene.key(state).id, envelope))
    assert answer.code is grpc.StatusCode.DATA_LOSS


def test_two_envelopes_cannot_be_spliced(unharmed: Client) -> None:
    one, other = unharmed.encrypt(SEED), unharmed.encrypt(SEED)
    for cut in (1, 13, 29, 45):
        spliced = one.ciphertext[:cut] + other.ciphertext[cut:]
        if cut == 1:
            assert unharmed.decrypt(one.key_id, spliced) == SEED  # the other one, whole
            continue
        answer = refused(partial(unharmed.decrypt, one.key_id, spliced))
        assert answer.code is grpc.StatusCode.DATA_LOSS


def test_random_bytes_are_never_answered_with_bytes(unharmed: Client, shared: Running) -> None:
    chance = random.Random(0)  # noqa: S311  the same bytes in every run
    for _ in range(300):
        envelope = b"\x01"[: chance.randrange(2)] + chance.randbytes(chance.randrange(1100))
        answer = refused(partial(unharmed.decrypt, shared.scene.key().id, envelope))
        assert answer.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.DATA_LOSS)


def test_a_thousand_distinct_envelopes_open_one_after_another(unharmed: Client) -> None:
    seeds = [secrets.token_bytes(32) for _ in range(1000)]
    wrapped = [unharmed.encrypt(seed) for seed in seeds]
    assert [unharmed.open(answer) for answer in wrapped] == seeds


def test_a_burst_of_identical_decrypts_is_all_answered(unharmed: Client) -> None:
    wrapped = unharmed.encrypt(SEED)
    with ThreadPoolExecutor(150) as pool:
        assert set(pool.map(lambda _: unharmed.open(wrapped), range(150))) == {SEED}
