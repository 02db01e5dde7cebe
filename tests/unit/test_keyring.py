"""What was wrapped comes back exactly, or not at all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import SOFTHSM, LostError
from appliance.keys.envelope import MAX_PLAINTEXT, NONCE_SIZE
from appliance.keys.key_id import PROBE_AAD
from appliance.keys.keyring import Keyring, Wrapped
from appliance.keys.keyset import Key, KeySet, KeyState
from tests.fakes import FakeCipher

LINEAGE = "0123456789ab"


def ring(*states: KeyState) -> tuple[Keyring, FakeCipher]:
    """A keyring of these keys; object ids are k1, k2 and so on."""
    cipher = FakeCipher()
    keys = [
        Key.born(LINEAGE, version, state, cipher.generate(f"k{version}"))
        for version, state in enumerate(states, 1)
    ]
    return Keyring(KeySet(LINEAGE, tuple(keys)), {SOFTHSM: cipher}), cipher


def refusal(keyring: Keyring, key_id: str, envelope: bytes) -> Fault:
    with pytest.raises(KleidiError) as caught:
        keyring.unwrap(key_id, envelope)
    return caught.value.fault


def under(state: KeyState) -> tuple[Keyring, Wrapped]:
    """Something wrapped by a key that is in *state* now."""
    keyring, cipher = ring(KeyState.PRIMARY)
    wrapped = keyring.wrap(b"seed")
    keys = (
        replace(keyring.keyset.primary, state=state),
        Key.born(LINEAGE, 2, KeyState.PRIMARY, cipher.generate("k2")),
    )
    return Keyring(KeySet(LINEAGE, keys), {SOFTHSM: cipher}), wrapped


RING, CIPHER = ring(KeyState.PRIMARY)


@given(st.binary(min_size=1, max_size=MAX_PLAINTEXT))
def test_unwraps_what_it_wrapped(plaintext: bytes) -> None:
    wrapped = RING.wrap(plaintext)
    assert wrapped.key_id == RING.keyset.primary.id
    assert len(wrapped.envelope) <= 1024
    assert RING.unwrap(wrapped.key_id, wrapped.envelope) == plaintext


@given(st.data())
def test_refuses_any_flipped_bit(data: st.DataObject) -> None:
    wrapped = RING.wrap(data.draw(st.binary(min_size=1, max_size=64)))
    bit = data.draw(st.integers(0, len(wrapped.envelope) * 8 - 1))
    changed = bytearray(wrapped.envelope)
    changed[bit // 8] ^= 1 << bit % 8
    wanted = faults.ENVELOPE_INVALID if bit < 8 else faults.CIPHERTEXT_TAMPERED
    assert refusal(RING, wrapped.key_id, bytes(changed)) is wanted


@given(st.text(max_size=30), st.binary(max_size=80))
def test_whatever_a_caller_sends_gets_an_error_of_ours(key_id: str, envelope: bytes) -> None:
    assert refusal(RING, key_id, envelope) in (faults.KEY_ID_INVALID, faults.KEY_UNKNOWN)
    assert refusal(RING, RING.keyset.primary.id, envelope) in (
        faults.ENVELOPE_INVALID,
        faults.CIPHERTEXT_TAMPERED,
    )


@pytest.mark.parametrize("size", [0, MAX_PLAINTEXT + 1])
def test_refuses_a_plaintext_that_does_not_fit(size: int) -> None:
    with pytest.raises(KleidiError) as caught:
        RING.wrap(bytes(size))
    assert caught.value.fault is faults.PLAINTEXT_SIZE


def test_every_nonce_is_drawn_anew() -> None:
    asked: list[int] = []

    def draw(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    keyring = Keyring(RING.keyset, {SOFTHSM: FakeCipher(CIPHER.keys, draw)})
    assert keyring.wrap(b"seed").envelope[1:13] == bytes([1]) * NONCE_SIZE
    assert keyring.wrap(b"seed").envelope[1:13] == bytes([2]) * NONCE_SIZE
    assert asked == [NONCE_SIZE, NONCE_SIZE]


def test_a_key_id_of_another_key_does_not_open_it() -> None:
    keyring, _ = ring(KeyState.RETIRED, KeyState.PRIMARY)
    wrapped = keyring.wrap(b"seed")
    assert refusal(keyring, keyring.keyset.keys[0].id, wrapped.envelope) is faults.CIPHERTEXT_TAMPERED


def test_the_same_key_under_another_id_does_not_open_it() -> None:
    cipher = FakeCipher()
    made = cipher.generate("k1")
    first = Keyring(KeySet(LINEAGE, (Key.born(LINEAGE, 1, KeyState.PRIMARY, made),)), {SOFTHSM: cipher})
    other = "ffffffffffff"
    second = Keyring(KeySet(other, (Key.born(other, 1, KeyState.PRIMARY, made),)), {SOFTHSM: cipher})
    wrapped = first.wrap(b"seed")
    assert refusal(second, second.keyset.primary.id, wrapped.envelope) is faults.CIPHERTEXT_TAMPERED
    assert refusal(second, wrapped.key_id, wrapped.envelope) is faults.KEY_UNKNOWN


@pytest.mark.parametrize("state", [KeyState.STAGED, KeyState.RETIRED])
def test_a_key_that_is_not_primary_still_decrypts(state: KeyState) -> None:
    keyring, wrapped = under(state)
    assert keyring.unwrap(wrapped.key_id, wrapped.envelope) == b"seed"
    assert keyring.wrap(b"seed").key_id == keyring.keyset.primary.id != wrapped.key_id


@pytest.mark.parametrize(
    ("state", "fault"),
    [(KeyState.DISABLED, faults.KEY_DISABLED), (KeyState.DESTROYED, faults.KEY_DESTROYED)],
)
def test_a_key_that_was_switched_off_refuses_without_being_used(state: KeyState, fault: Fault) -> None:
    keyring, wrapped = under(state)
    cipher = keyring._engines[SOFTHSM]  # noqa: SLF001  its count of calls
    assert isinstance(cipher, FakeCipher)
    before = cipher.calls
    assert refusal(keyring, wrapped.key_id, wrapped.envelope) is fault
    assert cipher.calls == before


def test_a_lost_token_is_not_the_callers_fault() -> None:
    keyring, cipher = ring(KeyState.PRIMARY)
    wrapped = keyring.wrap(b"seed")
    cipher.lose()
    with pytest.raises(LostError):
        keyring.unwrap(wrapped.key_id, wrapped.envelope)
    with pytest.raises(LostError):
        keyring.probe()


def test_the_probe_passes_with_a_key_that_works() -> None:
    RING.probe()


def test_the_probe_notices_bytes_that_come_back_changed() -> None:
    class Liar(FakeCipher):
        def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
            return super().unwrap(key, body, aad)[::-1]

    keyring = Keyring(RING.keyset, {SOFTHSM: Liar(CIPHER.keys)}, lambda size: bytes(range(size)))
    with pytest.raises(KleidiError) as caught:
        keyring.probe()
    assert caught.value.fault is faults.PRIMARY_WRONG


def test_the_probe_notices_what_calls_are_served_without() -> None:
    class Copying(FakeCipher):
        def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
            if aad == PROBE_AAD:
                raise LostError("the files have gone")
            return super().unwrap(key, body, aad)

    with pytest.raises(LostError):
        Keyring(RING.keyset, {SOFTHSM: Copying(CIPHER.keys)}).probe()


def test_there_are_no_strangers_among_the_keys_that_belong() -> None:
    keyring, _ = ring(KeyState.RETIRED, KeyState.PRIMARY, KeyState.STAGED)
    assert keyring.failing(SOFTHSM) == {}


def test_an_exchanged_or_missing_key_is_a_stranger() -> None:
    keyring, cipher = ring(KeyState.RETIRED, KeyState.RETIRED, KeyState.PRIMARY)
    cipher.exchange("k1")
    cipher.forget("k2")
    assert [key.version for key in keyring.failing(SOFTHSM)] == [1, 2]


def test_a_key_that_is_off_need_not_prove_itself() -> None:
    keyring, cipher = ring(KeyState.DESTROYED, KeyState.DISABLED, KeyState.PRIMARY)
    cipher.forget("k1")
    cipher.forget("k2")
    assert keyring.failing(SOFTHSM) == {}
