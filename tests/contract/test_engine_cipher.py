"""What every engine promises of the keys on an open token."""

import secrets
from collections.abc import Iterator

import pytest

from appliance.keys.engine import Cipher, EngineError, TamperedError
from tests.contract.bench import Bench, Held

AAD = b"associated"


@pytest.fixture(scope="module")
def cipher(bench: Bench, two: Held) -> Iterator[Cipher]:
    with bench.opened(two):
        yield bench.engine


@pytest.fixture(scope="module")
def keys(two: Held) -> list[str]:
    """The names of two keys that it holds."""
    return [*two.answers]


@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 995])
def test_gives_back_what_it_took(cipher: Cipher, keys: list[str], size: int) -> None:
    plaintext = secrets.token_bytes(size)
    ciphertext = cipher.wrap(keys[0], plaintext, AAD)
    assert len(ciphertext) == size + 28
    assert cipher.unwrap(keys[0], ciphertext, AAD) == plaintext


def test_nothing_to_encrypt_or_decrypt_is_the_callers_bug(cipher: Cipher, keys: list[str]) -> None:
    with pytest.raises(ValueError, match="plaintext"):
        cipher.wrap(keys[0], b"", AAD)
    with pytest.raises(ValueError, match="tag"):
        cipher.unwrap(keys[0], bytes(28), AAD)


def test_nothing_to_bind_to_is_the_callers_bug(cipher: Cipher, keys: list[str]) -> None:
    with pytest.raises(ValueError, match="additional data"):
        cipher.wrap(keys[0], b"plaintext", b"")
    with pytest.raises(ValueError, match="additional data"):
        cipher.unwrap(keys[0], bytes(60), b"")


def test_never_gives_the_same_twice(cipher: Cipher, keys: list[str]) -> None:
    bodies = {cipher.wrap(keys[0], b"same", AAD) for _ in range(200)}
    assert len({body[:12] for body in bodies}) == len(bodies) == 200


def test_refuses_every_flipped_bit(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.wrap(keys[0], b"plaintext", AAD)
    for bit in range(len(ciphertext) * 8):
        changed = bytearray(ciphertext)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperedError):
            cipher.unwrap(keys[0], bytes(changed), AAD)


@pytest.mark.parametrize("aad", [b"associate", b"associated\0", b"Associated"])
def test_refuses_other_associated_data(cipher: Cipher, keys: list[str], aad: bytes) -> None:
    ciphertext = cipher.wrap(keys[0], b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.unwrap(keys[0], ciphertext, aad)


def test_refuses_another_key(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.wrap(keys[0], b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.unwrap(keys[1], ciphertext, AAD)


@pytest.mark.parametrize("size", [29, 32, 36])
def test_refuses_a_truncated_ciphertext(cipher: Cipher, keys: list[str], size: int) -> None:
    ciphertext = cipher.wrap(keys[0], b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.unwrap(keys[0], ciphertext[:size], AAD)


def test_refuses_a_lengthened_ciphertext(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.wrap(keys[0], b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.unwrap(keys[0], ciphertext + b"\0", AAD)


def test_a_key_that_it_does_not_hold_is_lost(bench: Bench, cipher: Cipher) -> None:
    with pytest.raises(bench.missing):
        cipher.wrap(secrets.token_hex(16), b"plaintext", AAD)
    with pytest.raises(bench.missing):
        cipher.unwrap(secrets.token_hex(16), bytes(60), AAD)


def test_goes_on_after_a_refusal(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.wrap(keys[0], b"plaintext", AAD)
    with pytest.raises(EngineError):
        cipher.unwrap(keys[0], bytes(60), AAD)
    with pytest.raises(EngineError):
        cipher.wrap(secrets.token_hex(16), b"plaintext", AAD)
    assert cipher.unwrap(keys[0], ciphertext, AAD) == b"plaintext"
