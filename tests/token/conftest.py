"""A real SoftHSM token for every test, in its own directory; the module itself is the process's only one."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import PyKCS11
import pytest

from softhsm import Library, ModuleMissingError, Session, Token, key


@pytest.fixture
def library() -> Iterator[Library]:
    try:
        found = Library.find()
    except ModuleMissingError:
        if "CI" in os.environ:
            raise
        pytest.skip("SoftHSM is not installed")
    yield found
    found.unload()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    directory = tmp_path / "tokens"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def user_pin() -> str:
    return secrets.token_urlsafe(32)


@pytest.fixture
def so_pin() -> str:
    return secrets.token_urlsafe(32)


@pytest.fixture
def token(library: Library, tokens: Path, user_pin: str, so_pin: str) -> Token:
    library.load(tokens)
    return library.initialize_token("kleidi", user_pin, so_pin)


@pytest.fixture
def session(token: Token, user_pin: str) -> Iterator[Session]:
    opened = token.open(user_pin)
    yield opened
    opened.close()


@pytest.fixture
def object_id(session: Session) -> str:
    """The id of a key that is on the token."""
    made = secrets.token_hex(16)
    session.generate(made, "v1")
    return made


@pytest.fixture
def raw(library: Library, token: Token) -> Callable[[], AbstractContextManager[PyKCS11.Session]]:
    """Lend a bare read-write PKCS#11 session; it shares the login of the process."""

    @contextmanager
    def lend() -> Iterator[PyKCS11.Session]:
        # PyKCS11 counts the users of a module, so this neither initializes nor finalizes it.
        pkcs11 = PyKCS11.PyKCS11Lib()
        pkcs11.load(str(library.module))
        try:
            slots = pkcs11.getSlotList(tokenPresent=True)
            (slot,) = (s for s in slots if pkcs11.getTokenInfo(s).serialNumber.strip() == token.serial)
            lent = pkcs11.openSession(slot, PyKCS11.CKF_RW_SESSION)
            try:
                yield lent
            finally:
                lent.closeSession()
        finally:
            pkcs11.unload()

    return lend


@pytest.fixture
def import_key(raw: Callable[[], AbstractContextManager[PyKCS11.Session]]) -> Callable[..., str]:
    """Put a known key on the token, as our template has it but for *changes*."""

    def put(value: bytes, object_id: str | None = None, changes: dict[int, Any] | None = None) -> str:
        chosen = object_id or secrets.token_hex(16)
        wanted = dict(key.template(chosen, "imported")) | {PyKCS11.CKA_VALUE: value} | (changes or {})
        with raw() as lent:
            lent.createObject(list(wanted.items()))
        return chosen

    return put


@pytest.fixture
def object_file(tokens: Path) -> Callable[[], Path]:
    """Find the file of the only key."""

    def find() -> Path:
        (found,) = (path for path in tokens.glob("*/*.object") if path.name != "token.object")
        return found

    return find


@pytest.fixture
def reopen(library: Library, tokens: Path, token: Token, user_pin: str) -> Iterator[Callable[[], Session]]:
    """Load the module again and open the token again."""
    opened = []

    def again() -> Session:
        library.load(tokens)
        opened.append(library.find_token(token.serial).open(user_pin))
        return opened[-1]

    yield again
    for session in opened:
        session.close()


@pytest.fixture
def order(tokens: Path, token: Token, user_pin: str) -> dict[str, Any]:
    """What another process must be told to open the token."""
    return {"module": None, "tokens": str(tokens), "serial": token.serial, "user_pin": user_pin}


@pytest.fixture
def run_in(library: Library) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run modules in a process of their own, *question* at their standard input; answer what they say."""

    def run(*program: str, question: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        # They log in, and two processes that do so at once break each other.
        library.unload()
        done = subprocess.run(
            [sys.executable, "-m", *program],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=Path(__file__).parents[2],
        )
        assert not done.stderr
        return done

    return run


@pytest.fixture
def run_child(
    run_in: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., dict[str, Any]]:
    """Run a program of the room; answer what it says, with the exit code in it."""

    def run(*program: str, question: dict[str, Any]) -> dict[str, Any]:
        done = run_in(*program, question=question)
        # A short PIN may stand in any hex.
        assert not any(pin in done.stdout for pin in _pins(question) if len(pin) > 4)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer | {"exit": done.returncode}

    return run


def _pins(question: dict[str, Any]) -> list[str]:
    return [token["user_pin"] for token in question.get("tokens_expected", [question])]


@pytest.fixture
def trial(run_child: Callable[..., dict[str, Any]], order: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Run `python -m softhsm.trial` on the one token."""

    def run(keys: list[dict[str, str | None]], **changes: str) -> dict[str, Any]:
        told = order | changes
        expected = {"serial": told["serial"], "user_pin": told["user_pin"], "keys": keys}
        question = {"module": told["module"], "tokens": told["tokens"], "tokens_expected": [expected]}
        return run_child("softhsm.trial", question=question)

    return run
