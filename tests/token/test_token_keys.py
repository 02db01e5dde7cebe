import os
import secrets
import shutil
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import PyKCS11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from softhsm import KeyNotFoundError, Session, SoftHsmError, TamperedError, TokenLostError

Raw = Callable[[], AbstractContextManager[PyKCS11.Session]]

NONCE = bytes(range(12))
AAD = b"kleidi/1"


def value_of_key(content: bytes | bytearray) -> int:
    """Find the length of the stored value; before it are its type and kind (3: bytes), all in 64 bits."""
    return content.index(struct.pack(">QQ", PyKCS11.CKA_VALUE, 3)) + 16


def test_a_new_key_has_the_attributes_we_demand(session: Session, object_id: str, raw: Raw) -> None:
    with raw() as lent:
        (handle,) = lent.findObjects([(PyKCS11.CKA_ID, bytes.fromhex(object_id))])
        attributes = handle.to_dict()
    for yes in (
        "TOKEN",
        "PRIVATE",
        "SENSITIVE",
        "ENCRYPT",
        "DECRYPT",
        "MODIFIABLE",
        "COPYABLE",
        "DESTROYABLE",
    ):
        assert attributes[f"CKA_{yes}"] == PyKCS11.CK_TRUE
    for no in ("EXTRACTABLE", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE"):
        assert attributes[f"CKA_{no}"] == PyKCS11.CK_FALSE
    for born in ("LOCAL", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE"):
        assert attributes[f"CKA_{born}"] == PyKCS11.CK_TRUE
    assert attributes["CKA_VALUE_LEN"] == 32
    assert attributes["CKA_LABEL"] == "v1"
    assert "CKA_VALUE" not in attributes
    assert session.object_ids() == [object_id]
    session.inspect(object_id)


def test_the_token_refuses_to_use_a_key_for_anything_but_gcm(object_id: str, raw: Raw) -> None:
    with raw() as lent:
        (handle,) = lent.findObjects([(PyKCS11.CKA_ID, bytes.fromhex(object_id))])
        with pytest.raises(PyKCS11.PyKCS11Error):
            lent.encrypt(handle, bytes(16), PyKCS11.Mechanism(PyKCS11.CKM_AES_ECB))


def test_an_id_is_given_once(session: Session, object_id: str) -> None:
    with pytest.raises(SoftHsmError, match="already"):
        session.generate(object_id, "v2")
    assert session.object_ids() == [object_id]


@pytest.mark.parametrize("object_id", ["", "00", "G" * 32, "A" * 32, "0" * 33])
def test_refuses_an_id_that_is_none(session: Session, object_id: str) -> None:
    with pytest.raises(ValueError, match="object id"):
        session.generate(object_id, "v1")


@pytest.mark.parametrize("size", [1, 32, 1024, 4079, 4080, 4081, 4096, 1_000_000])
def test_opens_what_it_closed(session: Session, object_id: str, size: int) -> None:
    plaintext = os.urandom(size)
    ciphertext = session.encrypt(object_id, NONCE, plaintext, AAD)
    assert type(ciphertext) is bytes
    assert len(ciphertext) == size + 16
    opened = session.decrypt(object_id, NONCE, ciphertext, AAD)
    assert type(opened) is bytes
    assert opened == plaintext


def test_speaks_the_same_gcm_as_cryptography(session: Session, import_key: Callable[..., str]) -> None:
    value, plaintext = os.urandom(32), os.urandom(40)
    imported = import_key(value)
    expected = AESGCM(value).encrypt(NONCE, plaintext, AAD)
    assert session.encrypt(imported, NONCE, plaintext, AAD) == expected
    assert session.decrypt(imported, NONCE, expected, AAD) == plaintext


def test_an_imported_key_serves_but_was_not_born_here(
    session: Session, import_key: Callable[..., str]
) -> None:
    imported = import_key(os.urandom(32))
    assert session.encrypt(imported, NONCE, b"x", AAD)
    with pytest.raises(KeyNotFoundError, match="CKA_LOCAL"):
        session.inspect(imported)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (PyKCS11.CKA_PRIVATE, PyKCS11.CK_FALSE),
        (PyKCS11.CKA_SENSITIVE, PyKCS11.CK_FALSE),
        (PyKCS11.CKA_EXTRACTABLE, PyKCS11.CK_TRUE),
        (PyKCS11.CKA_WRAP, PyKCS11.CK_TRUE),
        (PyKCS11.CKA_MODIFIABLE, PyKCS11.CK_FALSE),
        (PyKCS11.CKA_COPYABLE, PyKCS11.CK_FALSE),
        (PyKCS11.CKA_VALUE, bytes(16)),
    ],
    ids=[
        "not private",
        "not sensitive",
        "extractable",
        "wraps",
        "only copyable",
        "only modifiable",
        "128 bits",
    ],
)
def test_refuses_a_key_that_is_not_as_we_make_it(
    session: Session, import_key: Callable[..., str], attribute: int, value: int | bytes
) -> None:
    weak = import_key(os.urandom(32), changes={attribute: value})
    with pytest.raises(KeyNotFoundError, match="not as demanded") as caught:
        session.encrypt(weak, NONCE, b"x", AAD)
    assert caught.value.object_id == weak


def test_an_unknown_key_is_named(session: Session, object_id: str) -> None:
    unknown = secrets.token_hex(16)
    with pytest.raises(KeyNotFoundError) as caught:
        session.decrypt(unknown, NONCE, bytes(40), AAD)
    assert caught.value.object_id == unknown
    assert session.encrypt(object_id, NONCE, b"x", AAD)


def test_two_objects_with_one_id_are_none(session: Session, import_key: Callable[..., str]) -> None:
    twice = import_key(os.urandom(32))
    import_key(os.urandom(32), twice)
    with pytest.raises(KeyNotFoundError, match="2 objects"):
        session.encrypt(twice, NONCE, b"x", AAD)
    assert session.object_ids() == [twice, twice]


def test_tampering_is_told_from_trouble(session: Session, object_id: str) -> None:
    ciphertext = session.encrypt(object_id, NONCE, b"secret", AAD)
    for position in range(len(ciphertext)):
        flipped = bytearray(ciphertext)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(TamperedError):
            session.decrypt(object_id, NONCE, bytes(flipped), AAD)
    for nonce, data, aad in (
        (NONCE, ciphertext, b"kleidi/2"),
        (bytes(12), ciphertext, AAD),
        (NONCE, ciphertext[:-1], AAD),
        (NONCE, ciphertext + b"\0", AAD),
    ):
        with pytest.raises(TamperedError):
            session.decrypt(object_id, nonce, data, aad)
        assert session.decrypt(object_id, NONCE, ciphertext, AAD) == b"secret"


def test_another_key_does_not_open_it(session: Session, object_id: str) -> None:
    other = secrets.token_hex(16)
    session.generate(other, "v2")
    with pytest.raises(TamperedError):
        session.decrypt(other, NONCE, session.encrypt(object_id, NONCE, b"secret", AAD), AAD)


@pytest.mark.parametrize("nonce", [b"", bytes(11), bytes(13), bytes(16)])
def test_refuses_a_nonce_of_another_size(session: Session, object_id: str, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="nonce"):
        session.encrypt(object_id, nonce, b"x", AAD)
    with pytest.raises(ValueError, match="nonce"):
        session.decrypt(object_id, nonce, bytes(40), AAD)


def test_refuses_what_would_leave_an_operation_active(session: Session, object_id: str) -> None:
    with pytest.raises(ValueError, match="no plaintext"):
        session.encrypt(object_id, NONCE, b"", AAD)
    with pytest.raises(ValueError, match="no additional data"):
        session.encrypt(object_id, NONCE, b"x", b"")
    for size in (0, 1, 15, 16):
        with pytest.raises(ValueError, match="no longer than its tag"):
            session.decrypt(object_id, NONCE, bytes(size), AAD)
    assert session.encrypt(object_id, NONCE, b"x", AAD)


def test_a_closed_session_is_closed(session: Session, object_id: str) -> None:
    session.close()
    session.close()
    with pytest.raises(TokenLostError, match="closed"):
        session.encrypt(object_id, NONCE, b"x", AAD)


def test_a_token_removed_under_a_session_is_lost_not_merely_without_keys(
    session: Session, object_id: str, tokens: Path
) -> None:
    ciphertext = session.encrypt(object_id, NONCE, b"x", AAD)
    shutil.rmtree(tokens)
    for _ in range(2):
        with pytest.raises(TokenLostError):
            session.decrypt(object_id, NONCE, ciphertext, AAD)
        with pytest.raises(TokenLostError):
            session.encrypt(object_id, NONCE, b"x", AAD)
        with pytest.raises(TokenLostError):
            session.encrypt(secrets.token_hex(16), NONCE, b"x", AAD)
        with pytest.raises(TokenLostError):
            session.object_ids()


def test_a_token_that_held_keys_when_it_was_loaded_is_lost_without_them_and_an_empty_one_is_empty(
    session: Session, reopen: Callable[[], Session], tokens: Path
) -> None:
    assert reopen().object_ids() == []
    again = reopen()
    again.generate(secrets.token_hex(16), "v1")
    unused = reopen()
    shutil.rmtree(tokens)
    with pytest.raises(TokenLostError):
        unused.object_ids()
    session.close()


def test_one_object_removed_under_a_session_leaves_the_others(
    session: Session, object_id: str, object_file: Callable[[], Path]
) -> None:
    session.encrypt(object_id, NONCE, b"x", AAD)
    first = object_file()
    other = secrets.token_hex(16)
    session.generate(other, "v2")
    first.unlink()
    for _ in range(2):
        with pytest.raises(TokenLostError):
            session.encrypt(object_id, NONCE, b"x", AAD)
        assert session.encrypt(other, NONCE, b"x", AAD)


def test_a_key_that_can_no_longer_be_read_is_not_called_tampering(
    session: Session, object_id: str, object_file: Callable[[], Path]
) -> None:
    ciphertext = session.encrypt(object_id, NONCE, b"x", AAD)
    content = bytearray(object_file().read_bytes())
    (length,) = struct.unpack_from(">Q", content, start := value_of_key(content))
    content[start + 8 + length - 17] ^= (
        1  # breaks the padding of the stored value: the key cannot be unwrapped
    )
    content[7] += 1  # the generation, from which SoftHSM sees that the file is another
    object_file().write_bytes(content)
    for _ in range(2):
        with pytest.raises(TokenLostError):
            session.decrypt(object_id, NONCE, ciphertext, AAD)


def test_no_file_holds_a_key_in_the_clear(
    session: Session, import_key: Callable[..., str], tokens: Path
) -> None:
    def stored(value: bytes) -> bool:
        return any(value in path.read_bytes() for path in tokens.rglob("*") if path.is_file())

    guarded, bare = os.urandom(32), os.urandom(32)
    import_key(guarded)
    assert not stored(guarded)
    # What it would be without CKA_PRIVATE: this test can fail.
    import_key(bare, changes={PyKCS11.CKA_PRIVATE: PyKCS11.CK_FALSE})
    assert stored(bare)
    assert len(session.object_ids()) == 2


def test_the_stored_value_of_a_new_key_is_longer_than_a_key(
    object_id: str, object_file: Callable[[], Path]
) -> None:
    content = object_file().read_bytes()
    (length,) = struct.unpack_from(">Q", content, value_of_key(content))
    assert object_id
    assert length == 16 + 48  # an IV, and 32 bytes padded by CBC


def test_threads_share_a_session(session: Session, object_id: str) -> None:
    def work(worker: int) -> int:
        for turn in range(200):
            plaintext, nonce = f"{worker}:{turn}".encode(), os.urandom(12)
            ciphertext = session.encrypt(object_id, nonce, plaintext, AAD)
            if turn % 10 == 0:
                with pytest.raises(TamperedError):
                    session.decrypt(object_id, nonce, ciphertext, b"other")
            assert session.decrypt(object_id, nonce, ciphertext, AAD) == plaintext
        return 200

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 800
