"""What every PKCS#11 token must do for us, whoever makes it; the fake is trusted because it does it too."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from softhsm.pkcs11 import key
from softhsm.pkcs11.cipher import Cipher
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import DeniedError, KeyGoneError, TamperedError, TokenError
from softhsm.pkcs11.token import Wanted, find
from tests.pkcs11.places import Place

AAD = b"associated"


@pytest.fixture
def made(device: Device) -> Iterator[str]:
    """A key that is gone again behind the test."""
    name = secrets.token_hex(16)
    device.run(lambda _, session: key.make(session, name, "kleidi test"), writes=True)
    yield name
    device.run(lambda login, session: session.destroy(login.handle(session, name)), writes=True)


@pytest.fixture
def cipher(device: Device) -> Cipher:
    return Cipher(device)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 995])
def test_gives_back_what_it_took(cipher: Cipher, made: str, size: int) -> None:
    plaintext = secrets.token_bytes(size)
    body = cipher.encrypt(made, plaintext, AAD)
    assert len(body) == 12 + size + 16
    assert cipher.decrypt(made, body, AAD) == plaintext


def test_no_nonce_comes_twice(cipher: Cipher, made: str, place: Place) -> None:
    nonces = {cipher.encrypt(made, b"same", AAD)[:12] for _ in range(20)}
    assert len(nonces) == 20
    assert bytes(12) not in nonces
    if place.name != "given":
        assert cipher.module_draws(made) is (place.name == "fake-draws")


def test_refuses_a_flipped_bit_anywhere(cipher: Cipher, made: str) -> None:
    body = cipher.encrypt(made, b"plaintext", AAD)
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= 1
        with pytest.raises(TamperedError):
            cipher.decrypt(made, bytes(changed), AAD)
    assert cipher.decrypt(made, body, AAD) == b"plaintext"


@pytest.mark.parametrize("aad", [b"associate", b"associated\0", b"Associated"])
def test_refuses_other_associated_data(cipher: Cipher, made: str, aad: bytes) -> None:
    with pytest.raises(TamperedError):
        cipher.decrypt(made, cipher.encrypt(made, b"plaintext", AAD), aad)


@pytest.mark.parametrize("size", [29, 32, 40])
def test_refuses_what_is_cut_off(cipher: Cipher, made: str, size: int) -> None:
    body = cipher.encrypt(made, b"a plaintext of some length", AAD)
    with pytest.raises(TamperedError):
        cipher.decrypt(made, body[:size], AAD)


def test_what_no_caller_may_ask_is_told_ahead_of_the_module(cipher: Cipher, made: str) -> None:
    for plaintext, aad in ((b"", AAD), (b"plaintext", b"")):
        with pytest.raises(ValueError, match="there is no"):
            cipher.encrypt(made, plaintext, aad)
    with pytest.raises(ValueError, match="tag"):
        cipher.decrypt(made, bytes(28), AAD)
    with pytest.raises(ValueError, match="hex"):
        cipher.encrypt("not hex", b"plaintext", AAD)


def test_a_key_is_as_it_was_asked_for(device: Device, made: str) -> None:
    wrong = device.run(lambda login, session: key.missing(session, login.handle(session, made)))
    # NSS says of no key that it was made there.
    assert set(wrong) <= {"LOCAL"}


def test_a_key_is_not_made_twice(device: Device, made: str) -> None:
    with pytest.raises(DeniedError, match="already"):
        device.run(lambda _, session: key.make(session, made, "kleidi test"), writes=True)


def test_a_key_that_is_not_there_is_gone(cipher: Cipher) -> None:
    with pytest.raises(KeyGoneError):
        cipher.encrypt(secrets.token_hex(16), b"plaintext", AAD)


def test_a_key_outlives_the_module(device: Device, cipher: Cipher, made: str) -> None:
    body = cipher.encrypt(made, b"plaintext", AAD)
    device.close()
    assert cipher.decrypt(made, body, AAD) == b"plaintext"


def test_a_key_for_the_session_goes_with_it(device: Device) -> None:
    def counted() -> int:
        return device.run(lambda _, session: len(session.find()))

    before = counted()
    device.run(lambda _, session: session.destroy(key.temporary(session)))
    assert counted() == before


def test_threads_do_not_disturb_each_other(cipher: Cipher, made: str) -> None:
    def work(number: int) -> bool:
        plaintext = f"plaintext {number}".encode()
        return all(
            cipher.decrypt(made, cipher.encrypt(made, plaintext, AAD), AAD) == plaintext for _ in range(25)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_another_token_is_not_taken_for_it(device: Device) -> None:
    token = device.token()
    assert Wanted(token.serial, token.label).fits(token)

    def other(wanted: Wanted) -> None:
        device.run(lambda login, _: find(login.module, wanted))

    for wanted in (Wanted(label="another"), Wanted(serial="another", label=token.label)):
        with pytest.raises(TokenError, match="0 tokens fit"):
            other(wanted)
