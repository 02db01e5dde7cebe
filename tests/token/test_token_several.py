"""Several tokens in one directory, each with its own PIN and its own login."""

import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from softhsm import (
    Library,
    PinRejectedError,
    Session,
    SoftHsmError,
    TamperedError,
    TokenLostError,
    TokenNotFoundError,
)

RunIn = Callable[..., subprocess.CompletedProcess[str]]

NONCE = bytes(range(12))
AAD = b"several"


@dataclass(frozen=True)
class Made:
    serial: str
    user_pin: str
    object_id: str

    def open(self, library: Library) -> Session:
        return library.find_token(self.serial).open(self.user_pin)


@pytest.fixture
def make(library: Library, tokens: Path, tmp_path: Path) -> Callable[[], Made]:
    """Put one more token, with one key, into the directory."""

    def make() -> Made:
        apart = tmp_path / f"apart-{secrets.token_hex(4)}"
        apart.mkdir()
        user_pin, object_id = secrets.token_urlsafe(32), secrets.token_hex(16)
        library.load(apart)
        token = library.initialize_token("kleidi", user_pin, secrets.token_urlsafe(32))
        session = token.open(user_pin)
        session.generate(object_id, "kleidi")
        session.close()
        library.unload()
        (made,) = apart.iterdir()
        made.rename(tokens / made.name)
        return Made(token.serial, user_pin, object_id)

    return make


@pytest.fixture
def pair(make: Callable[[], Made], library: Library, tokens: Path) -> tuple[Made, Made]:
    """Two tokens in the directory that is loaded."""
    both = make(), make()
    library.load(tokens)
    return both


def test_each_token_is_found_by_its_serial(library: Library, pair: tuple[Made, Made]) -> None:
    assert {token.serial for token in library.tokens()} == {made.serial for made in pair}
    for made in pair:
        assert library.find_token(made.serial).serial == made.serial
    assert library.unreadable == 0


def test_all_are_open_at_once_and_none_sees_the_keys_of_another(
    library: Library, pair: tuple[Made, Made]
) -> None:
    first, second = (made.open(library) for made in pair)
    assert first.object_ids() == [pair[0].object_id]
    assert second.object_ids() == [pair[1].object_id]
    ciphertext = first.encrypt(pair[0].object_id, NONCE, b"x", AAD)
    with pytest.raises(TamperedError):
        second.decrypt(pair[1].object_id, NONCE, ciphertext, AAD)
    for _ in range(20):
        assert first.decrypt(pair[0].object_id, NONCE, ciphertext, AAD) == b"x"
        assert second.encrypt(pair[1].object_id, NONCE, b"x", AAD) != ciphertext


def test_closing_one_leaves_the_other_open(library: Library, pair: tuple[Made, Made]) -> None:
    first, second = (made.open(library) for made in pair)
    first.close()
    assert second.encrypt(pair[1].object_id, NONCE, b"x", AAD)
    again = pair[0].open(library)
    second.close()
    assert again.encrypt(pair[0].object_id, NONCE, b"x", AAD)


def test_a_pin_opens_its_own_token_only(library: Library, pair: tuple[Made, Made]) -> None:
    first = pair[0].open(library)
    with pytest.raises(PinRejectedError):
        library.find_token(pair[1].serial).open(pair[0].user_pin)
    assert first.encrypt(pair[0].object_id, NONCE, b"x", AAD)
    with pytest.raises(SoftHsmError, match="another session"):
        pair[0].open(library)
    pair[1].open(library).close()
    assert first.encrypt(pair[0].object_id, NONCE, b"x", AAD)


def test_a_change_of_one_leaves_the_other(library: Library, pair: tuple[Made, Made]) -> None:
    first, second = (made.open(library) for made in pair)
    ciphertext = second.encrypt(pair[1].object_id, NONCE, b"x", AAD)
    new = secrets.token_hex(16)
    first.generate(new, "v2")
    first.destroy(pair[0].object_id)
    assert first.object_ids() == [new]
    assert second.object_ids() == [pair[1].object_id]
    assert second.decrypt(pair[1].object_id, NONCE, ciphertext, AAD) == b"x"


@pytest.mark.parametrize("reload", [True, False], ids=["reload", "unload"])
def test_a_reload_ends_all_sessions(
    library: Library, tokens: Path, pair: tuple[Made, Made], *, reload: bool
) -> None:
    sessions = [made.open(library) for made in pair]
    stale = library.tokens()
    for made, session in zip(pair, sessions, strict=True):
        session.encrypt(made.object_id, NONCE, b"x", AAD)
    if reload:
        library.load(tokens)
        # Their handles have the same numbers as the old ones.
        again = [made.open(library) for made in pair]
    else:
        library.unload()
    for made, session, token in zip(pair, sessions, stale, strict=True):
        with pytest.raises(TokenLostError):
            session.encrypt(made.object_id, NONCE, b"x", AAD)
        with pytest.raises(TokenLostError):
            token.open(made.user_pin)
        session.close()
    if reload:
        assert [session.object_ids() for session in again] == [[made.object_id] for made in pair]


def test_a_token_removed_under_us_leaves_the_other(
    library: Library, tokens: Path, pair: tuple[Made, Made]
) -> None:
    first, second = (made.open(library) for made in pair)
    first.encrypt(pair[0].object_id, NONCE, b"x", AAD)
    for path in tokens.iterdir():
        if pair[0].serial.encode() in (path / "token.object").read_bytes():
            shutil.rmtree(path)
    with pytest.raises(TokenLostError):
        first.encrypt(pair[0].object_id, NONCE, b"x", AAD)
    assert second.encrypt(pair[1].object_id, NONCE, b"x", AAD)


def test_a_damaged_token_leaves_the_other(library: Library, tokens: Path, pair: tuple[Made, Made]) -> None:
    for damaged in tokens.glob("*/token.object"):
        if pair[0].serial.encode() in damaged.read_bytes():
            damaged.write_bytes(damaged.read_bytes()[:40])
    library.load(tokens)
    assert library.unreadable == 1
    with pytest.raises(TokenNotFoundError):
        library.find_token(pair[0].serial)
    assert pair[1].open(library).encrypt(pair[1].object_id, NONCE, b"x", AAD)


def test_a_copy_of_one_of_several_is_refused(library: Library, tokens: Path, pair: tuple[Made, Made]) -> None:
    shutil.copytree(next(tokens.iterdir()), tokens / "copy")
    with pytest.raises(TokenNotFoundError, match="2 tokens"):
        library.load(tokens)
    # What was loaded before still is: the refusal came first.
    assert pair[1].open(library).encrypt(pair[1].object_id, NONCE, b"x", AAD)


def test_serials_that_softhsm_takes_for_one_are_refused(
    library: Library, tokens: Path, pair: tuple[Made, Made]
) -> None:
    """It numbers its slots by the last 31 bits of a serial, and aborts where two have one number."""
    path = next(tokens.iterdir())
    (original,) = (made for made in pair if made.serial.encode() in (path / "token.object").read_bytes())
    other = secrets.token_hex(4) + original.serial[8:]
    library.unload()
    shutil.copytree(path, tokens / "other")
    altered = (path / "token.object").read_bytes().replace(original.serial.encode(), other.encode())
    (tokens / "other" / "token.object").write_bytes(altered)
    with pytest.raises(TokenNotFoundError, match="told apart"):
        library.load(tokens)
    program = "import PyKCS11, sys; PyKCS11.PyKCS11Lib().load(sys.argv[1])"
    environment = {"SOFTHSM2_CONF": str(tokens.with_name("tokens.softhsm2.conf"))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(library.module)],
        env=environment,
        check=False,
        capture_output=True,
        cwd=tokens,
        timeout=60,
    )
    assert done.returncode == -signal.SIGABRT


def test_a_serial_that_softhsm_takes_for_the_free_slot_is_refused(
    library: Library, tokens: Path, make: Callable[[], Made]
) -> None:
    made = make()
    (path,) = tokens.glob("*/token.object")
    path.write_bytes(path.read_bytes().replace(made.serial.encode(), b"0" * 15 + b"1"))
    with pytest.raises(TokenNotFoundError, match="told apart"):
        library.load(tokens)


def test_a_read_only_directory_serves_one_login_on_each_token(
    library: Library,
    tokens: Path,
    pair: tuple[Made, Made],
    run_in: RunIn,
) -> None:
    library.unload()
    before = {path: path.read_bytes() for path in tokens.glob("*/*")}
    for path in sorted((tokens, *tokens.rglob("*")), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    order: dict[str, Any] = {"tokens": str(tokens), "served": [made.__dict__ for made in pair]}
    done = run_in("tests.token.unprivileged", "tests.token.read_only_server", question=order)
    for path in (tokens, *tokens.glob("*")):
        path.chmod(0o700)
    assert (done.returncode, done.stdout) == (0, "served\n" * 2)
    assert before == {path: path.read_bytes() for path in tokens.glob("*/*")}
