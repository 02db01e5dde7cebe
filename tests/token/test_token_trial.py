import os
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PyKCS11
import pytest

from softhsm import Session, Token

Trial = Callable[..., dict[str, Any]]

NONCE = bytes(range(12))
AAD = b"trial"
PLAINTEXT = b"a known plaintext"


def wanted(object_id: str, ciphertext: bytes | None) -> dict[str, str | None]:
    known = None if ciphertext is None else ciphertext.hex()
    fields = {"nonce": NONCE.hex(), "plaintext": PLAINTEXT.hex(), "aad": AAD.hex(), "ciphertext": known}
    return {"object_id": object_id} | fields


@pytest.fixture
def good(session: Session, object_id: str) -> dict[str, str | None]:
    return wanted(object_id, session.encrypt(object_id, NONCE, PLAINTEXT, AAD))


def test_proves_a_good_token(trial: Trial, token: Token, good: dict[str, str | None]) -> None:
    answers = {token.serial: {good["object_id"]: good["ciphertext"]}}
    assert trial([good]) == {"exit": 0, "ciphertexts": answers}
    assert trial([good | {"ciphertext": None}]) == {"exit": 0, "ciphertexts": answers}


def test_notices_another_answer(trial: Trial, good: dict[str, str | None]) -> None:
    verdict = trial([good | {"ciphertext": os.urandom(33).hex()}])
    assert (verdict["exit"], verdict["error"]) == (1, "TrialFailedError")
    assert "not the key it was" in verdict["detail"]


def test_notices_a_missing_key(trial: Trial, good: dict[str, str | None]) -> None:
    missing = secrets.token_hex(16)
    verdict = trial([good, wanted(missing, None)])
    assert (verdict["exit"], verdict["error"]) == (1, "TrialFailedError")
    assert f"missing: {missing}" in verdict["detail"]


def test_notices_a_key_too_many(session: Session, trial: Trial, good: dict[str, str | None]) -> None:
    extra = secrets.token_hex(16)
    session.generate(extra, "v2")
    verdict = trial([good])
    assert (verdict["exit"], verdict["error"]) == (1, "TrialFailedError")
    assert f"not listed: {extra}" in verdict["detail"]


def test_notices_a_key_that_was_not_made_here(
    trial: Trial, import_key: Callable[..., str], session: Session
) -> None:
    imported = import_key(os.urandom(32))
    session.close()
    verdict = trial([wanted(imported, None)])
    assert (verdict["exit"], verdict["error"]) == (1, "KeyNotFoundError")


def test_notices_a_wrong_pin(trial: Trial, good: dict[str, str | None]) -> None:
    assert trial([good], user_pin=secrets.token_urlsafe(32))["error"] == "PinRejectedError"


def test_notices_another_token(trial: Trial, good: dict[str, str | None]) -> None:
    assert trial([good], serial="0" * 16)["error"] == "TokenNotFoundError"


def test_notices_a_missing_module(trial: Trial, tmp_path: Path, good: dict[str, str | None]) -> None:
    assert trial([good], module=str(tmp_path / "none.so"))["error"] == "ModuleMissingError"


def test_says_little_of_an_order_it_cannot_read(trial: Trial, good: dict[str, str | None]) -> None:
    verdict = trial([good | {"nonce": "no hex"}])
    assert (verdict["exit"], verdict["error"]) == (1, "ValueError")
    assert "no hex" not in verdict["detail"]


def test_notices_a_truncated_key(
    trial: Trial, good: dict[str, str | None], object_file: Callable[[], Path]
) -> None:
    content = object_file().read_bytes()
    object_file().write_bytes(content[: len(content) // 2])
    assert trial([good])["exit"] == 1


def test_notices_the_flipped_bit_that_makes_another_key(
    trial: Trial, good: dict[str, str | None], object_file: Callable[[], Path]
) -> None:
    content = bytearray(object_file().read_bytes())
    start = content.index(struct.pack(">QQ", PyKCS11.CKA_VALUE, 3)) + 24
    # The first byte of the IV: SoftHSM decrypts the value to another key and sees nothing wrong.
    content[start] ^= 1
    object_file().write_bytes(content)
    verdict = trial([good])
    assert verdict["error"] == "TrialFailedError"
    assert "not the key it was" in verdict["detail"]
