"""Keys that are used from copies in memory: what that changes, and what it does not."""

import json
import os
import secrets
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import PyKCS11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from softhsm import KeyNotFoundError, Library, Session, TamperedError, Token, TokenLostError
from tests.token.test_token_keys import value_of_key

Raw = Callable[[], AbstractContextManager[PyKCS11.Session]]

NONCE = bytes(range(12))
AAD = b"kleidi/1"
OLDER = {PyKCS11.CKA_MODIFIABLE: PyKCS11.CK_FALSE, PyKCS11.CKA_COPYABLE: PyKCS11.CK_FALSE}
COPIES = [(PyKCS11.CKA_TOKEN, PyKCS11.CK_FALSE)]


@pytest.fixture
def session(token: Token, user_pin: str) -> Iterator[Session]:
    opened = token.open(user_pin, copies=True)
    yield opened
    opened.close()


@pytest.fixture
def closed(session: Session, object_id: str) -> bytes:
    """What the key, which has a copy then, makes of `secret`."""
    return session.encrypt(object_id, NONCE, b"secret", AAD)


def number_of_copies(raw: Raw) -> int:
    with raw() as lent:
        return len(lent.findObjects(COPIES))


def test_a_copy_is_made_at_the_first_use_and_is_the_same_key(
    session: Session, import_key: Callable[..., str], raw: Raw
) -> None:
    value, plaintext = os.urandom(32), os.urandom(40)
    imported = import_key(value)
    assert (session.copied(imported), number_of_copies(raw)) == (None, 0)
    expected = AESGCM(value).encrypt(NONCE, plaintext, AAD)
    for _ in range(2):
        assert session.encrypt(imported, NONCE, plaintext, AAD) == expected
        assert session.decrypt(imported, NONCE, expected, AAD) == plaintext
    assert (session.copied(imported), number_of_copies(raw)) == (True, 1)


def test_an_older_key_serves_as_it_lies_on_the_token(
    session: Session, import_key: Callable[..., str], raw: Raw
) -> None:
    value = os.urandom(32)
    older = import_key(value, changes=OLDER)
    for _ in range(2):
        assert session.encrypt(older, NONCE, b"x", AAD) == AESGCM(value).encrypt(NONCE, b"x", AAD)
    assert (session.copied(older), number_of_copies(raw)) == (False, 0)
    assert session.attest(older, NONCE, session.encrypt(older, NONCE, b"x", AAD), AAD) == b"x"


@pytest.mark.usefixtures("closed")
def test_a_copy_is_guarded_as_its_key_is(raw: Raw) -> None:
    with raw() as lent:
        (copy,) = lent.findObjects(COPIES)
        attributes = copy.to_dict()
        with pytest.raises(PyKCS11.PyKCS11Error):
            lent.encrypt(copy, bytes(16), PyKCS11.Mechanism(PyKCS11.CKM_AES_ECB))
        for attribute, value in ((PyKCS11.CKA_EXTRACTABLE, True), (PyKCS11.CKA_SENSITIVE, False)):
            with pytest.raises(PyKCS11.PyKCS11Error):
                lent.setAttributeValue(copy, [(attribute, value)])
    for yes in (
        "PRIVATE",
        "SENSITIVE",
        "ENCRYPT",
        "DECRYPT",
        "LOCAL",
        "ALWAYS_SENSITIVE",
        "NEVER_EXTRACTABLE",
    ):
        assert attributes[f"CKA_{yes}"] == PyKCS11.CK_TRUE
    for no in ("EXTRACTABLE", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE"):
        assert attributes[f"CKA_{no}"] == PyKCS11.CK_FALSE
    assert bytes(attributes["CKA_ALLOWED_MECHANISMS"]) == struct.pack("@L", PyKCS11.CKM_AES_GCM)
    assert "CKA_VALUE" not in attributes


@pytest.mark.usefixtures("closed")
def test_a_copy_is_none_of_the_tokens_keys(session: Session, object_id: str) -> None:
    session.inspect(object_id)
    assert session.object_ids() == [object_id]
    assert [found.object_id for found in session.secret_keys()] == [object_id]
    other = secrets.token_hex(16)
    session.generate(other, "v2")
    assert session.object_ids() == sorted([object_id, other])


def test_a_destroyed_key_leaves_no_copy(session: Session, object_id: str, closed: bytes, raw: Raw) -> None:
    session.destroy(object_id)
    assert (session.object_ids(), number_of_copies(raw)) == ([], 0)
    with pytest.raises(KeyNotFoundError):
        session.decrypt(object_id, NONCE, closed, AAD)


def test_calls_go_on_without_the_tokens_files_and_attest_notices(
    session: Session, object_id: str, closed: bytes, tokens: Path
) -> None:
    assert session.attest(object_id, NONCE, closed, AAD) == b"secret"
    shutil.rmtree(tokens)
    assert session.encrypt(object_id, NONCE, b"secret", AAD) == closed
    assert session.decrypt(object_id, NONCE, closed, AAD) == b"secret"
    with pytest.raises(TamperedError):
        session.decrypt(object_id, NONCE, closed, b"kleidi/2")
    for _ in range(2):
        with pytest.raises(TokenLostError):
            session.attest(object_id, NONCE, closed, AAD)
    # What was noticed holds for everybody.
    with pytest.raises(TokenLostError):
        session.encrypt(object_id, NONCE, b"x", AAD)


def test_attest_notices_one_file_that_is_gone(
    session: Session, object_id: str, closed: bytes, object_file: Callable[[], Path]
) -> None:
    first, other = object_file(), secrets.token_hex(16)
    session.generate(other, "v2")
    kept = session.encrypt(other, NONCE, b"x", AAD)
    first.unlink()
    with pytest.raises(TokenLostError):
        session.attest(object_id, NONCE, closed, AAD)
    assert session.attest(other, NONCE, kept, AAD) == b"x"


def test_attest_notices_another_key_on_the_token(
    session: Session, object_id: str, closed: bytes, object_file: Callable[[], Path]
) -> None:
    content = bytearray(object_file().read_bytes())
    content[value_of_key(content) + 8 + 20] ^= 1  # of the encrypted value: it is another one then
    content[7] += 1  # the generation, from which SoftHSM sees that the file is another
    object_file().write_bytes(content)
    assert session.decrypt(object_id, NONCE, closed, AAD) == b"secret"
    with pytest.raises(TamperedError):
        session.attest(object_id, NONCE, closed, AAD)


def test_attest_notices_another_key_in_memory(
    session: Session, object_id: str, import_key: Callable[..., str]
) -> None:
    imported = import_key(os.urandom(32))
    session.encrypt(imported, NONCE, b"x", AAD)
    known = session.encrypt(object_id, NONCE, b"x", AAD)
    copies = session._login.copies  # noqa: SLF001  no other way leads there
    copies[object_id] = copies[imported]
    with pytest.raises(TamperedError):
        session.attest(object_id, NONCE, known, AAD)


def test_bad_data_costs_no_copy(session: Session, object_id: str, closed: bytes, raw: Raw) -> None:
    with raw() as lent:
        (before,) = (found.value() for found in lent.findObjects(COPIES))
        for position in range(len(closed)):
            flipped = bytearray(closed)
            flipped[position] ^= 1
            with pytest.raises(TamperedError):
                session.decrypt(object_id, NONCE, bytes(flipped), AAD)
        assert [found.value() for found in lent.findObjects(COPIES)] == [before]


def test_a_copy_that_went_away_is_a_loss_that_heals(
    session: Session, object_id: str, closed: bytes, raw: Raw
) -> None:
    for call, data in ((session.encrypt, b"secret"), (session.decrypt, closed)):
        with raw() as lent:
            (copy,) = lent.findObjects(COPIES)
            lent.destroyObject(copy)
        with pytest.raises(TokenLostError):
            call(object_id, NONCE, data, AAD)
        assert session.decrypt(object_id, NONCE, closed, AAD) == b"secret"


def test_copies_end_with_the_session(session: Session, object_id: str, closed: bytes, raw: Raw) -> None:
    with raw() as lent:
        session.close()
        assert lent.findObjects(COPIES) == []
    with pytest.raises(TokenLostError, match="closed"):
        session.decrypt(object_id, NONCE, closed, AAD)


def test_copies_end_with_the_module(
    library: Library, tokens: Path, session: Session, object_id: str, closed: bytes
) -> None:
    library.load(tokens)
    with pytest.raises(TokenLostError):
        session.decrypt(object_id, NONCE, closed, AAD)
    library.unload()
    with pytest.raises(TokenLostError):
        session.decrypt(object_id, NONCE, closed, AAD)


def test_a_forked_child_has_no_share_in_the_copies(order: dict[str, str], library: Library) -> None:
    library.unload()
    program = """
import json, os, sys
from pathlib import Path
from softhsm import Library, TokenLostError
order = json.load(sys.stdin)
library = Library.find()
library.load(Path(order["tokens"]))
session = library.find_token(order["serial"]).open(order["user_pin"], copies=True)
session.generate("0" * 32, "v1")
call = "0" * 32, bytes(12), b"x", b"aad"
made = session.encrypt(*call)
if not os.fork():
    try:
        session.encrypt(*call)
    except TokenLostError:
        os._exit(7)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
assert session.encrypt(*call) == made
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_share_the_copies(session: Session, object_id: str) -> None:
    def work(worker: int) -> int:
        for turn in range(200):
            plaintext, nonce = f"{worker}:{turn}".encode(), os.urandom(12)
            ciphertext = session.encrypt(object_id, nonce, plaintext, AAD)
            if turn % 10 == 0:
                with pytest.raises(TamperedError):
                    session.decrypt(object_id, nonce, ciphertext, b"other")
            assert session.decrypt(object_id, nonce, ciphertext, AAD) == plaintext
            if turn % 50 == 0:
                assert session.attest(object_id, nonce, ciphertext, AAD) == plaintext
        return 200

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 800
