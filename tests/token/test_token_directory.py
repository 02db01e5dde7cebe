import json
import secrets
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import PyKCS11
import pytest

from softhsm import (
    Library,
    ModuleMissingError,
    PinRejectedError,
    Session,
    SoftHsmError,
    Token,
    TokenLostError,
    TokenNotFoundError,
)

Raw = Callable[[], AbstractContextManager[PyKCS11.Session]]

NONCE = bytes(range(12))


def test_a_new_token_is_found_again_by_its_serial(library: Library, token: Token) -> None:
    assert library.find_token(token.serial).serial == token.serial
    assert len(token.serial) == 16


def test_an_unknown_serial_is_not_found(library: Library, token: Token) -> None:
    with pytest.raises(TokenNotFoundError):
        library.find_token(token.serial[::-1] + "0")


def test_the_label_is_padded_with_blanks(library: Library, token: Token, raw: Raw) -> None:
    with raw() as lent:
        stored = lent.pykcs11.getTokenInfo(lent.getSessionInfo().slotID).label
    assert stored.rstrip(" ") == token.label == "kleidi"
    assert "\0" not in stored
    assert library.find_token(token.serial).label == "kleidi"


@pytest.mark.parametrize("label", ["", "x" * 33, "naïve", "a\0b"])
def test_refuses_a_label_that_does_not_fit(library: Library, tokens: Path, label: str) -> None:
    library.load(tokens)
    with pytest.raises(ValueError, match="label"):
        library.initialize_token(label, secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def test_refuses_pins_that_can_be_guessed(library: Library, tokens: Path, user_pin: str) -> None:
    library.load(tokens)
    for so_pin in ("1234", user_pin, "x" * 256):
        with pytest.raises(ValueError, match="PINs"):
            library.initialize_token("kleidi", user_pin, so_pin)
    assert not list(tokens.iterdir())


def test_refuses_a_second_token_in_a_directory(
    library: Library, token: Token, user_pin: str, so_pin: str
) -> None:
    with pytest.raises(SoftHsmError, match="not empty"):
        library.initialize_token("another", user_pin, so_pin)
    assert library.find_token(token.serial)


def test_an_unreadable_token_is_never_replaced(
    library: Library, tokens: Path, token: Token, user_pin: str, so_pin: str
) -> None:
    (damaged,) = tokens.glob("*/token.object")
    damaged.write_bytes(b"")
    library.load(tokens)
    with pytest.raises((TokenNotFoundError, TokenLostError)):
        library.find_token(token.serial).open(user_pin)
    with pytest.raises(SoftHsmError, match="not empty"):
        library.initialize_token("kleidi", user_pin, so_pin)


def test_a_missing_directory_is_not_an_empty_one(library: Library, tmp_path: Path) -> None:
    with pytest.raises(SoftHsmError, match="cannot be read"):
        library.load(tmp_path / "nowhere")


def test_refuses_a_directory_name_that_softhsm_would_cut(library: Library, tmp_path: Path) -> None:
    odd = tmp_path / "tokens#1"
    odd.mkdir()
    with pytest.raises(ValueError, match="name of a token directory"):
        library.load(odd)


def test_a_missing_module_is_said_so(tmp_path: Path, tokens: Path) -> None:
    with pytest.raises(ModuleMissingError):
        Library.find(tmp_path / "libsofthsm2.so")
    (tmp_path / "libsofthsm2.so").write_bytes(b"not a library")
    with pytest.raises(ModuleMissingError):
        Library.find(tmp_path / "libsofthsm2.so").load(tokens)


def test_the_configuration_is_private_and_complete(tokens: Path, token: Token) -> None:
    configuration = tokens.parent / "tokens.softhsm2.conf"
    assert token.serial
    assert configuration.stat().st_mode & 0o777 == 0o600
    assert "slots.mechanisms = CKM_AES_GCM,CKM_AES_KEY_GEN" in configuration.read_text()
    assert not list(tokens.parent.glob(".*softhsm2.conf*"))


def test_a_copy_left_beside_the_token_is_refused_before_it_can_abort_us(
    library: Library, tokens: Path, token: Token, user_pin: str
) -> None:
    (original,) = tokens.iterdir()
    shutil.copytree(original, tokens / "copy")
    with pytest.raises(TokenNotFoundError, match="2 tokens"):
        library.load(tokens)
    shutil.rmtree(tokens / "copy")
    library.load(tokens)
    library.find_token(token.serial).open(user_pin).close()


def test_only_one_library_is_loaded_in_a_process(library: Library, tokens: Path, token: Token) -> None:
    with pytest.raises(SoftHsmError, match="another Library"):
        Library.find().load(tokens)
    assert library.find_token(token.serial)


def test_a_wrong_pin_is_rejected_and_leaves_no_session(
    token: Token, user_pin: str, so_pin: str, raw: Raw
) -> None:
    for _ in range(3):
        with pytest.raises(PinRejectedError):
            token.open(secrets.token_urlsafe(32))
    with raw() as lent:
        # The security officer may log in only while no read-only session is open.
        lent.login(so_pin, PyKCS11.CKU_SO)
        lent.logout()
    token.open(user_pin).close()


def test_a_token_is_opened_once_at_a_time(
    token: Token, session: Session, user_pin: str, object_id: str
) -> None:
    with pytest.raises(SoftHsmError, match="another session"):
        token.open(user_pin)
    assert session.encrypt(object_id, NONCE, b"x", b"aad")
    session.close()
    token.open(user_pin).close()


def test_no_error_tells_a_pin(
    library: Library, tokens: Path, token: Token, user_pin: str, so_pin: str
) -> None:
    def told_by(act: Callable[[], object]) -> str:
        with pytest.raises((SoftHsmError, ValueError)) as caught:
            act()
        # The lines of source in a traceback name the variables, never what is in them.
        return (
            "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.args)
        )

    wrong = secrets.token_urlsafe(32)
    told = told_by(lambda: token.open(wrong))
    told += told_by(lambda: token.open(""))
    told += told_by(lambda: library.initialize_token("kleidi", user_pin, so_pin))
    told += told_by(lambda: library.initialize_token("kleidi", user_pin, user_pin))
    library.load(tokens)
    told += told_by(lambda: token.open(user_pin))
    session = library.find_token(token.serial).open(user_pin)
    told += repr(session) + repr(token)
    session.close()
    for pin in (wrong, user_pin, so_pin):
        assert pin not in told


def test_a_reload_ends_old_sessions_and_new_ones_read_old_data(
    token: Token, session: Session, object_id: str, reopen: Callable[[], Session]
) -> None:
    ciphertext = session.encrypt(object_id, NONCE, b"secret", b"aad")
    reopened = reopen()
    for stale in (
        lambda: session.encrypt(object_id, NONCE, b"secret", b"aad"),
        lambda: session.decrypt(object_id, NONCE, ciphertext, b"aad"),
        lambda: session.generate(secrets.token_hex(16), "v2"),
        session.object_ids,
        lambda: token.open("any"),
    ):
        with pytest.raises(TokenLostError):
            stale()
    # It must not log out the new one, whose handles have the same numbers.
    session.close()
    assert reopened.decrypt(object_id, NONCE, ciphertext, b"aad") == b"secret"


def test_after_unload_everything_says_so(library: Library, session: Session, object_id: str) -> None:
    library.unload()
    library.unload()
    with pytest.raises(TokenLostError):
        session.encrypt(object_id, NONCE, b"x", b"aad")
    with pytest.raises(TokenLostError):
        library.find_token("0")
    session.close()


def test_a_full_or_locked_parent_is_reported(library: Library, tmp_path: Path, tokens: Path) -> None:
    (tmp_path / "tokens.softhsm2.conf").mkdir()
    with pytest.raises(SoftHsmError, match=r"softhsm2\.conf cannot be written"):
        library.load(tokens)


def test_a_forked_child_has_no_share_in_the_session(order: dict[str, str], library: Library) -> None:
    library.unload()
    program = """
import json, os, sys
from pathlib import Path
from softhsm import Library, TokenLostError
order = json.load(sys.stdin)
library = Library.find()
library.load(Path(order["tokens"]))
session = library.find_token(order["serial"]).open(order["user_pin"])
session.generate("0" * 32, "v1")
if not os.fork():
    try:
        session.encrypt("0" * 32, bytes(12), b"x", b"aad")
    except TokenLostError:
        os._exit(7)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
assert session.encrypt("0" * 32, bytes(12), b"x", b"aad")
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
