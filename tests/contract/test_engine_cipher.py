"""What every engine promises of the keys on an open token."""

import secrets
from collections.abc import Iterator

import pytest

from appliance.keys.cipher import Cipher, CipherError, CipherLostError, TamperedError
from tests.contract.bench import Bench, Held

NONCE = bytes(range(12))
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
    ciphertext = cipher.encrypt(keys[0], NONCE, plaintext, AAD)
    assert len(ciphertext) == size + 16
    assert cipher.decrypt(keys[0], NONCE, ciphertext, AAD) == plaintext


def test_nothing_to_encrypt_or_decrypt_is_the_callers_bug(cipher: Cipher, keys: list[str]) -> None:
    with pytest.raises(ValueError, match="plaintext"):
        cipher.encrypt(keys[0], NONCE, b"", AAD)
    with pytest.raises(ValueError, match="tag"):
        cipher.decrypt(keys[0], NONCE, bytes(16), AAD)


def test_nothing_to_bind_to_is_the_callers_bug(cipher: Cipher, keys: list[str]) -> None:
    with pytest.raises(ValueError, match="additional data"):
        cipher.encrypt(keys[0], NONCE, b"plaintext", b"")
    with pytest.raises(ValueError, match="additional data"):
        cipher.decrypt(keys[0], NONCE, bytes(32), b"")


@pytest.mark.parametrize("size", [0, 11, 13, 16])
def test_a_nonce_of_another_size_is_the_callers_bug(cipher: Cipher, keys: list[str], size: int) -> None:
    with pytest.raises(ValueError, match="nonce"):
        cipher.encrypt(keys[0], bytes(size), b"plaintext", AAD)
    with pytest.raises(ValueError, match="nonce"):
        cipher.decrypt(keys[0], bytes(size), bytes(32), AAD)


def test_is_deterministic(cipher: Cipher, keys: list[str]) -> None:
    first = cipher.encrypt(keys[0], NONCE, b"same", AAD)
    assert cipher.encrypt(keys[0], NONCE, b"same", AAD) == first


def test_keys_differ(cipher: Cipher, keys: list[str]) -> None:
    ciphertexts = {cipher.encrypt(key, NONCE, bytes(32), AAD) for key in keys}
    assert len(ciphertexts) == len(keys) == 2


def test_every_nonce_gives_another_ciphertext(cipher: Cipher, keys: list[str]) -> None:
    assert cipher.encrypt(keys[0], NONCE, b"same", AAD) != cipher.encrypt(keys[0], NONCE[::-1], b"same", AAD)


def test_refuses_every_flipped_bit(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    for bit in range(len(ciphertext) * 8):
        changed = bytearray(ciphertext)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperedError):
            cipher.decrypt(keys[0], NONCE, bytes(changed), AAD)


def test_refuses_another_nonce(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.decrypt(keys[0], NONCE[::-1], ciphertext, AAD)


@pytest.mark.parametrize("aad", [b"associate", b"associated\0", b"Associated"])
def test_refuses_other_associated_data(cipher: Cipher, keys: list[str], aad: bytes) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.decrypt(keys[0], NONCE, ciphertext, aad)


def test_refuses_another_key(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.decrypt(keys[1], NONCE, ciphertext, AAD)


@pytest.mark.parametrize("size", [17, 20, 24])
def test_refuses_a_truncated_ciphertext(cipher: Cipher, keys: list[str], size: int) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.decrypt(keys[0], NONCE, ciphertext[:size], AAD)


def test_refuses_a_lengthened_ciphertext(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    with pytest.raises(TamperedError):
        cipher.decrypt(keys[0], NONCE, ciphertext + b"\0", AAD)


def test_a_key_that_it_does_not_hold_is_lost(cipher: Cipher) -> None:
    with pytest.raises(CipherLostError):
        cipher.encrypt(secrets.token_hex(16), NONCE, b"plaintext", AAD)
    with pytest.raises(CipherLostError):
        cipher.decrypt(secrets.token_hex(16), NONCE, bytes(32), AAD)


def test_goes_on_after_a_refusal(cipher: Cipher, keys: list[str]) -> None:
    ciphertext = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
    with pytest.raises(CipherError):
        cipher.decrypt(keys[0], NONCE, bytes(32), AAD)
    with pytest.raises(CipherError):
        cipher.encrypt(secrets.token_hex(16), NONCE, b"plaintext", AAD)
    assert cipher.decrypt(keys[0], NONCE, ciphertext, AAD) == b"plaintext"
