"""Tokens that other programs made: looked into, taken over as they are, and opened beside ours."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PyKCS11
import pytest
from PyKCS11 import CK_FALSE, CK_TRUE

from softhsm import KeyNotFoundError, Library, Session, TamperedError, Token, TokenLostError, labelled
from tests.token.foreign_program import PIN, ForeignProgram

NONCE = bytes(range(12))
PROBE = {"nonce": NONCE.hex(), "plaintext": b"a known plaintext".hex(), "aad": b"adopted".hex()}
# The labels that the original kleidi and the mock of kubernetes/kms have built in.
KLEIDI, MOCK = "kleidi-kms-plugin", "kms-test"

Survey = Callable[..., dict[str, Any]]


@pytest.fixture
def foreign(library: Library, tmp_path: Path) -> ForeignProgram:
    directory = tmp_path / "foreign"
    directory.mkdir()
    return ForeignProgram(library, directory)


@pytest.fixture
def serial(foreign: ForeignProgram) -> str:
    """The only foreign token, still without a key."""
    return foreign.init_token("kleidi")


@pytest.fixture
def survey(run_child: Callable[..., dict[str, Any]], foreign: ForeignProgram, tmp_path: Path) -> Survey:
    """Survey a copy of the foreign directory."""

    def run(*through: str, **changes: object) -> dict[str, Any]:
        copy = tmp_path / "copy"
        shutil.copytree(foreign.tokens, copy)
        question: dict[str, Any] = {"module": None, "tokens": str(copy), "label": None, "user_pin": PIN}
        question |= {"key_label": KLEIDI, "probe": PROBE}
        answer = run_child(*through, "softhsm.survey", question=question | changes)
        for path in (copy, *copy.glob("*")):
            path.chmod(0o700)
        shutil.rmtree(copy)
        return answer

    return run


@pytest.fixture
def adopt(library: Library, token: Token, tokens: Path, foreign: ForeignProgram) -> Callable[[str], Session]:
    """Put the foreign tokens beside ours, load them all, and open the one with that serial."""

    def opened(serial: str) -> Session:
        library.unload()
        shutil.copytree(foreign.tokens, tokens, dirs_exist_ok=True)
        library.load(tokens)
        assert token.serial in {listed.serial for listed in library.tokens()}
        return library.find_token(serial).open(PIN)

    return opened


@pytest.mark.parametrize("label", [KLEIDI, MOCK])
def test_what_they_wrote_decrypts(
    foreign: ForeignProgram, serial: str, adopt: Callable[[str], Session], label: str
) -> None:
    foreign.keygen(serial, label)
    stored = foreign.written(b"a seed", label)
    theirs = adopt(serial)
    nonce, ciphertext, aad = stored[:12], stored[12:], label.encode()
    assert theirs.decrypt(labelled(label), nonce, ciphertext, aad) == b"a seed"
    assert theirs.encrypt(labelled(label), nonce, b"a seed", aad) == ciphertext
    for wrong in (ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,)), ciphertext + b"x"):
        with pytest.raises(TamperedError):
            theirs.decrypt(labelled(label), nonce, wrong, aad)
    with pytest.raises(TamperedError):
        theirs.decrypt(labelled(label), nonce, ciphertext, b"another label")
    assert theirs.decrypt(labelled(label), nonce, ciphertext, aad) == b"a seed"


@pytest.fixture
def ours(order: dict[str, Any], object_id: str, session: Session) -> dict[str, Any]:
    """What a trial is to find on our token."""
    probe = (bytes.fromhex(PROBE[field]) for field in ("nonce", "plaintext", "aad"))
    known = session.encrypt(object_id, *probe).hex()
    keys = [PROBE | {"object_id": object_id, "ciphertext": known}]
    return {"serial": order["serial"], "user_pin": order["user_pin"], "keys": keys}


def test_ours_and_theirs_are_open_side_by_side(
    library: Library,
    ours: dict[str, Any],
    foreign: ForeignProgram,
    serial: str,
    adopt: Callable[[str], Session],
) -> None:
    foreign.keygen(serial, KLEIDI)
    theirs = adopt(serial)
    our_session = library.find_token(ours["serial"]).open(ours["user_pin"])
    (known,) = ours["keys"]
    nonce, plaintext, aad, ciphertext = (
        bytes.fromhex(known[field]) for field in ("nonce", "plaintext", "aad", "ciphertext")
    )
    for _ in range(3):
        assert our_session.decrypt(known["object_id"], nonce, ciphertext, aad) == plaintext
        assert theirs.encrypt(labelled(KLEIDI), nonce, plaintext, aad) != ciphertext
    with pytest.raises(KeyNotFoundError):
        our_session.encrypt(labelled(KLEIDI), nonce, plaintext, aad)
    with pytest.raises(KeyNotFoundError):
        theirs.encrypt(known["object_id"], nonce, plaintext, aad)
    theirs.close()
    assert our_session.decrypt(known["object_id"], nonce, ciphertext, aad) == plaintext


def test_only_what_is_needed_is_asked_of_their_keys(
    foreign: ForeignProgram, serial: str, adopt: Callable[[str], Session]
) -> None:
    for size in (16, 24, 32):
        foreign.keygen(serial, f"aes-{size}", {PyKCS11.CKA_VALUE_LEN: size})
    foreign.keygen(serial, "guarded", {PyKCS11.CKA_PRIVATE: CK_TRUE, PyKCS11.CKA_SENSITIVE: CK_TRUE})
    foreign.keygen(serial, "cannot decrypt", {PyKCS11.CKA_DECRYPT: CK_FALSE})
    theirs = adopt(serial)
    for label in ("aes-16", "aes-24", "aes-32", "guarded"):
        theirs.inspect(labelled(label))
        sealed = theirs.encrypt(labelled(label), NONCE, b"x", b"aad")
        assert theirs.decrypt(labelled(label), NONCE, sealed, b"aad") == b"x"
    with pytest.raises(KeyNotFoundError, match="CKA_DECRYPT"):
        theirs.decrypt(labelled("cannot decrypt"), NONCE, bytes(17), b"aad")
    told = {key.label: key for key in theirs.secret_keys()}
    assert {label: key.bits for label, key in told.items() if label.startswith("aes")} == {
        "aes-16": 128,
        "aes-24": 192,
        "aes-32": 256,
    }
    assert told["guarded"].private
    assert told["guarded"].sensitive
    assert not told["aes-32"].private


def test_an_unwrapped_key_of_which_softhsm_notes_no_length_serves(
    foreign: ForeignProgram, serial: str, adopt: Callable[[str], Session]
) -> None:
    foreign.keygen(serial, KLEIDI, {PyKCS11.CKA_EXTRACTABLE: CK_TRUE})
    with foreign.session(serial) as session:
        (handle,) = session.findObjects()
        wrapped = session.wrapKey(handle, handle, PyKCS11.Mechanism(PyKCS11.CKM_AES_KEY_WRAP))
        wanted = [
            (PyKCS11.CKA_CLASS, PyKCS11.CKO_SECRET_KEY),
            (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_AES),
            (PyKCS11.CKA_TOKEN, CK_TRUE),
            (PyKCS11.CKA_LABEL, "unwrapped"),
            (PyKCS11.CKA_ENCRYPT, CK_TRUE),
            (PyKCS11.CKA_DECRYPT, CK_TRUE),
        ]
        mechanism = PyKCS11.Mechanism(PyKCS11.CKM_AES_KEY_WRAP)
        session.unwrapKey(handle, bytes(wrapped), wanted, mechanism)
    theirs = adopt(serial)
    sealed = theirs.encrypt(labelled("unwrapped"), NONCE, b"x", b"aad")
    assert theirs.decrypt(labelled(KLEIDI), NONCE, sealed, b"aad") == b"x"
    assert [key.bits for key in theirs.secret_keys()] == [256, 0]


@pytest.mark.parametrize("label", ["", "a\0b"])
def test_refuses_a_label_that_would_mean_another(session: Session, label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        labelled(label)
    with pytest.raises(ValueError, match="label"):
        session.encrypt(f"label:{label}", NONCE, b"x", b"aad")


def test_a_survey_tells_what_is_there(foreign: ForeignProgram, serial: str, survey: Survey) -> None:
    foreign.keygen(serial, KLEIDI)
    guarded = {
        PyKCS11.CKA_PRIVATE: CK_TRUE,
        PyKCS11.CKA_SENSITIVE: CK_TRUE,
        PyKCS11.CKA_ID: b"\x01\xff",
        PyKCS11.CKA_VALUE_LEN: 16,
    }
    foreign.keygen(serial, "other", guarded)
    (directory,) = foreign.tokens.iterdir()
    directory.rename(foreign.tokens / "restored")
    answer = survey(label="kleidi")
    plain = {"object_id": "", "bits": 256, "private": False, "sensitive": False}
    hidden = {"object_id": "01ff", "bits": 128, "private": True, "sensitive": True}
    rest = {"key_type": "AES", "extractable": False}
    assert answer == {
        "exit": 0,
        "serial": serial,
        "token_label": "kleidi",
        "directory": "restored",
        "keys": [{"label": KLEIDI} | plain | rest, {"label": "other"} | hidden | rest],
        "probe": PROBE | {"ciphertext": answer["probe"]["ciphertext"]},
    }


@pytest.fixture
def prove(run_child: Callable[..., dict[str, Any]], tokens: Path) -> Callable[..., dict[str, Any]]:
    def run(*expected: dict[str, Any]) -> dict[str, Any]:
        question = {"module": None, "tokens": str(tokens), "tokens_expected": expected}
        return run_child("softhsm.trial", question=question)

    return run


@pytest.fixture
def theirs(
    foreign: ForeignProgram, serial: str, survey: Survey, adopt: Callable[[str], Session]
) -> dict[str, Any]:
    """What a trial is to find on their token, as a survey tells it; the token is beside ours by now."""
    foreign.keygen(serial, KLEIDI)
    foreign.keygen(serial, "not taken over")
    known = survey()["probe"]
    adopt(serial).close()
    return {"serial": serial, "user_pin": PIN, "keys": [known | {"object_id": labelled(KLEIDI)}]}


def test_a_trial_proves_what_a_survey_found(
    ours: dict[str, Any], theirs: dict[str, Any], prove: Callable[..., dict[str, Any]]
) -> None:
    answers = {
        token["serial"]: {key["object_id"]: key["ciphertext"] for key in token["keys"]}
        for token in (ours, theirs)
    }
    assert prove(ours, theirs) == {"exit": 0, "ciphertexts": answers}


def test_a_trial_notices_what_is_wrong_with_an_adopted_token(
    ours: dict[str, Any], theirs: dict[str, Any], prove: Callable[..., dict[str, Any]]
) -> None:
    (known,) = theirs["keys"]

    def asked_of_theirs(**changes: object) -> dict[str, Any]:
        return prove(ours, theirs | changes)

    assert prove(ours)["detail"].endswith(f"not listed: {theirs['serial']}")
    assert asked_of_theirs(serial="0" * 16)["error"] == "TokenNotFoundError"
    assert asked_of_theirs(user_pin="4321")["error"] == "PinRejectedError"
    another = known | {"object_id": labelled("not taken over")}
    assert "is not the key it was" in asked_of_theirs(keys=[another])["detail"]
    missing = known | {"object_id": labelled(MOCK)}
    assert asked_of_theirs(keys=[missing])["error"] == "KeyNotFoundError"


def test_a_survey_leaves_the_original_alone_and_needs_no_right_to_write(
    foreign: ForeignProgram, serial: str, survey: Survey
) -> None:
    foreign.keygen(serial, KLEIDI)
    for path in sorted((foreign.tokens, *foreign.tokens.rglob("*")), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)

    def state() -> dict[Path, tuple[bytes, int, int]]:
        found = [path for path in foreign.tokens.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in found}

    before, around = state(), set(foreign.tokens.parent.iterdir())
    # The copy is as read-only as the original, and the survey is made to obey.
    answer = survey("tests.token.unprivileged")
    assert (answer["exit"], answer["serial"]) == (0, serial)
    assert state() == before
    assert set(foreign.tokens.parent.iterdir()) - around == {foreign.tokens.parent / "copy.softhsm2.conf"}
    for path in (foreign.tokens, *foreign.tokens.glob("*")):
        path.chmod(0o700)


def test_a_survey_says_what_it_cannot_find(foreign: ForeignProgram, serial: str, survey: Survey) -> None:
    foreign.keygen(serial, KLEIDI)
    foreign.keygen(serial, "twice")
    foreign.keygen(serial, "twice")
    kind = {PyKCS11.CKA_KEY_TYPE: PyKCS11.CKK_GENERIC_SECRET}
    with foreign.session(serial) as session:
        wanted = {PyKCS11.CKA_CLASS: PyKCS11.CKO_SECRET_KEY, PyKCS11.CKA_TOKEN: CK_TRUE} | kind
        wanted |= {PyKCS11.CKA_LABEL: "no AES", PyKCS11.CKA_VALUE: bytes(32)}
        session.createObject(list(wanted.items()))

    def failed(**changes: object) -> tuple[str, str]:
        answer = survey(**changes)
        assert answer["exit"] == 1
        return answer["error"], answer["detail"]

    assert failed(user_pin="4321")[0] == "PinRejectedError"
    assert failed(user_pin="")[0] in {"PinRejectedError", "SoftHsmError"}
    error, detail = failed(label="another")
    assert error == "TokenNotFoundError"
    assert detail == "0 tokens have the label 'another'; found: 'kleidi'; unreadable: 0"
    error, detail = failed(key_label="kms")
    assert error == "KeyNotFoundError"
    assert detail.startswith(
        "key label:kms: 0 AES keys have this label; found: 'kleidi-kms-plugin' (AES 256)"
    )
    assert "2 AES keys" in failed(key_label="twice")[1]
    assert "'no AES' (GENERIC_SECRET 256)" in failed(key_label="no AES")[1]
    assert failed(key_label="")[0] == "ValueError"


def test_a_survey_does_not_choose_between_two_tokens(
    foreign: ForeignProgram, serial: str, survey: Survey
) -> None:
    foreign.keygen(serial, KLEIDI)
    other = foreign.init_token("other")
    foreign.keygen(other, MOCK)
    assert survey(label="kleidi")["serial"] == serial
    assert survey(label="other", key_label=MOCK)["serial"] == other
    answer = survey()
    assert answer["error"] == "TokenNotFoundError"
    assert answer["detail"] == "2 tokens are in the directory; found: 'kleidi', 'other'; unreadable: 0"
    foreign.init_token("kleidi")
    answer = survey(label="kleidi")
    assert answer["error"] == "TokenNotFoundError"
    assert answer["detail"].startswith("2 tokens have the label 'kleidi'")


def test_a_survey_reports_a_damaged_directory(foreign: ForeignProgram, serial: str, survey: Survey) -> None:
    foreign.keygen(serial, KLEIDI)
    (key_file,) = (path for path in foreign.tokens.glob("*/*.object") if path.name != "token.object")
    (token_file,) = foreign.tokens.glob("*/token.object")
    (directory,) = foreign.tokens.iterdir()
    whole = key_file.read_bytes(), token_file.read_bytes()

    value = whole[0].index(struct.pack(">QQQ", PyKCS11.CKA_VALUE, 3, 32)) + 24
    key_file.write_bytes(whole[0][: value + 10])
    assert survey()["error"] in {"KeyNotFoundError", "TokenLostError"}
    key_file.write_bytes(whole[0])

    shutil.copytree(directory, foreign.tokens / "backup")
    assert "told apart" in survey()["detail"]
    shutil.rmtree(foreign.tokens / "backup")

    for size in range(0, len(whole[1]), 40):
        token_file.write_bytes(whole[1][:size])
        answer = survey()
        assert answer["exit"] == 1
        assert answer["error"] in {"TokenNotFoundError", "TokenLostError", "PinRejectedError", "SoftHsmError"}
    token_file.unlink()
    assert survey()["detail"] == "0 tokens are in the directory; found: none; unreadable: 0"


def test_a_reload_ends_adopted_sessions_too(
    library: Library, tokens: Path, foreign: ForeignProgram, serial: str, adopt: Callable[[str], Session]
) -> None:
    foreign.keygen(serial, KLEIDI)
    stored = foreign.written(b"a seed", KLEIDI)
    theirs = adopt(serial)
    library.load(tokens)
    again = library.find_token(serial).open(PIN)
    for stale in (theirs.secret_keys, lambda: theirs.encrypt(labelled(KLEIDI), NONCE, b"x", b"aad")):
        with pytest.raises(TokenLostError):
            stale()
    assert again.decrypt(labelled(KLEIDI), stored[:12], stored[12:], KLEIDI.encode()) == b"a seed"
