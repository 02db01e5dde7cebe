import hashlib
import json
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from softhsm import KeyNotFoundError, Library, Session

NONCE = bytes(range(12))
AAD = b"forge"
PLAINTEXT = b"a known plaintext"
PROBE = {"nonce": NONCE.hex(), "plaintext": PLAINTEXT.hex(), "aad": AAD.hex()}


def digests(directory: Path) -> dict[Path, str]:
    return {
        path.relative_to(directory): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@dataclass
class Forge:
    """A copy of the token directory, which holds one key, in a place of its own, and the forge for it."""

    scratch: Path
    order: dict[str, Any]
    run_child: Callable[..., dict[str, Any]]
    library: Library

    def question(
        self, new: Iterable[str] = (), destroy: Iterable[str] = (), changes: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        generate = [{"object_id": object_id, "label": "forged"} for object_id in new]
        asked = {"tokens": str(self.scratch), "generate": generate, "destroy": [*destroy], "probe": PROBE}
        return self.order | asked | (changes or {})

    def run(
        self, new: Iterable[str] = (), destroy: Iterable[str] = (), changes: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return self.run_child("softhsm.forge", question=self.question(new, destroy, changes))

    def opened(self) -> Session:
        """The changed copy."""
        self.library.load(self.scratch)
        return self.library.find_token(self.order["serial"]).open(self.order["user_pin"])

    def objects(self) -> int:
        return len([path for path in self.scratch.glob("*/*.object") if path.name != "token.object"])


@pytest.fixture
def forge(
    order: dict[str, Any],
    object_id: str,
    tmp_path: Path,
    run_child: Callable[..., dict[str, Any]],
    library: Library,
) -> Forge:
    assert object_id
    copy = tmp_path / "scratch" / "tokens"
    shutil.copytree(order["tokens"], copy)
    return Forge(copy, order, run_child, library)


def test_makes_keys_and_answers_what_they_make_of_the_probe(
    forge: Forge, object_id: str, session: Session
) -> None:
    old = session.encrypt(object_id, NONCE, b"old", AAD)
    new = secrets.token_hex(16), secrets.token_hex(16)
    answer = forge.run(new)
    assert answer["exit"] == 0
    changed = forge.opened()
    assert changed.object_ids() == sorted((object_id, *new))
    made = {each: changed.encrypt(each, NONCE, PLAINTEXT, AAD).hex() for each in new}
    assert answer["ciphertexts"] == made
    assert len(set(made.values())) == 2
    for each in new:
        changed.inspect(each)
    assert changed.decrypt(object_id, NONCE, old, AAD) == b"old"


def test_destroys_keys_and_their_files(forge: Forge, object_id: str) -> None:
    new = secrets.token_hex(16)
    assert forge.run((new,), (object_id,))["ciphertexts"].keys() == {new}
    assert forge.opened().object_ids() == [new]
    assert forge.objects() == 1


def test_can_destroy_the_last_key(forge: Forge, object_id: str) -> None:
    assert forge.run((), (object_id,)) == {"exit": 0, "ciphertexts": {}}
    changed = forge.opened()
    assert changed.object_ids() == []
    with pytest.raises(KeyNotFoundError):
        changed.encrypt(object_id, NONCE, b"x", AAD)


def test_nothing_to_do_is_done(forge: Forge, object_id: str) -> None:
    assert forge.run() == {"exit": 0, "ciphertexts": {}}
    assert forge.opened().object_ids() == [object_id]


def test_what_was_not_copied_is_not_touched(
    forge: Forge, tokens: Path, object_id: str, session: Session
) -> None:
    session.close()
    before = digests(tokens)
    assert forge.run((secrets.token_hex(16),), (object_id,))["exit"] == 0
    assert digests(tokens) == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"user_pin": "x" * 43}, "PinRejectedError"),
        ({"serial": "0" * 16}, "TokenNotFoundError"),
        ({"destroy": ["0" * 32]}, "KeyNotFoundError"),
        ({"destroy": ["no id"]}, "ValueError"),
        ({"generate": [{"object_id": "no id", "label": "x"}]}, "ValueError"),
        ({"generate": [{"object_id": "0" * 32, "label": "x"}] * 2}, "SoftHsmError"),
        ({"generate": None}, "TypeError"),
        ({"probe": {}}, "KeyError"),
        ({"module": "nowhere/libsofthsm2.so"}, "ModuleMissingError"),
        ({"tokens": "nowhere"}, "SoftHsmError"),
    ],
    ids=[
        "wrong PIN", "wrong serial", "no such key", "bad id", "bad new id", "id twice", "malformed",
        "no probe", "no module", "no directory",
    ],
)  # fmt: skip
def test_says_what_it_cannot_do(forge: Forge, changes: dict[str, Any], error: str) -> None:
    answer = forge.run((secrets.token_hex(16),), changes=changes)
    assert (answer["exit"], answer["error"]) == (1, error)
    assert "ciphertexts" not in answer


def test_an_id_is_never_given_again(forge: Forge, object_id: str) -> None:
    assert forge.run((object_id,))["error"] == "SoftHsmError"
    assert forge.run((object_id,), (object_id,))["error"] == "TrialFailedError"


@pytest.mark.parametrize("after", [0, 1, 7, 30])
def test_a_killed_forge_leaves_its_scratch_only(
    forge: Forge, session: Session, object_id: str, tmp_path: Path, after: int
) -> None:
    """Killed when it has made *after* keys, while we serve from the original."""
    tokens = tmp_path / "tokens"
    ciphertext = session.encrypt(object_id, NONCE, b"x", AAD)
    served = digests(tokens)
    command = [sys.executable, "-m", "softhsm.forge"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        json.dump(forge.question(secrets.token_hex(16) for _ in range(400)), child.stdin)
        child.stdin.close()
        deadline = time.monotonic() + 60
        while forge.objects() < 1 + after and time.monotonic() < deadline:
            assert session.decrypt(object_id, NONCE, ciphertext, AAD) == b"x"
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert forge.objects() >= 1 + after
    assert digests(tokens) == served
    assert session.decrypt(object_id, NONCE, ciphertext, AAD) == b"x"
    assert {path.name for path in tmp_path.iterdir()} == {"scratch", "tokens", "tokens.softhsm2.conf"}
    # A second run starts from another copy, and whatever the first one left does not matter.
    session.close()
    shutil.copytree(tokens, tmp_path / "again")
    again = {"tokens": str(tmp_path / "again")}
    assert forge.run([secrets.token_hex(16)], changes=again)["exit"] == 0


def test_hundreds_of_keys_are_made_proved_and_opened_in_bearable_time(
    forge: Forge, trial: Callable[..., dict[str, Any]], object_id: str, session: Session
) -> None:
    known = session.encrypt(object_id, NONCE, PLAINTEXT, AAD).hex()
    answers = forge.run(secrets.token_hex(16) for _ in range(300))["ciphertexts"] | {object_id: known}
    keys = [PROBE | {"object_id": made, "ciphertext": answer} for made, answer in answers.items()]
    began = time.monotonic()
    assert trial(keys, tokens=str(forge.scratch))["exit"] == 0
    proved = time.monotonic()
    changed = forge.opened()
    assert changed.encrypt(object_id, NONCE, PLAINTEXT, AAD).hex() == known
    # Far above what an idle machine needs, far below what a search for every single key would take.
    assert proved - began < 10
    assert time.monotonic() - proved < 2
    changed.close()
