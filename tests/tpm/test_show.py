"""`kleidi tpm show`: what it says of a TPM, and with which exit code it ends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from appliance.faults import Exit
from tests.cli import documents
from tests.docs.pages import without_settings
from tests.reference import CHECKOUT
from tests.tpm.chip import Chip, create_primary
from tests.tpm.test_sealing import COUNTS, RSA


def typed(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", "tpm", "show", *arguments],
        cwd=CHECKOUT,
        env={**without_settings(), "KLEIDI_TPM": f"unix://{path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def shown(chip: Chip) -> tuple[int, dict[str, Any]]:
    done = typed(chip.path, "-o", "json")
    return done.returncode, documents.check(done.stdout)


def test_a_new_one(chip: Chip) -> None:
    code, found = shown(chip)
    assert code == found["exit"] == Exit.OK
    assert found["parent"] == chip.seal(bytes(32)).parent.hex()
    assert (found["storage_key"], found["problem"]) == ("", "")
    assert (found["failed_guesses"], found["most_guesses"], found["locked"]) == (0, 3, False)
    assert (found["measured"], found["owner_password"]) == (False, False)
    assert found["vendor"].startswith("IBM")


def test_one_that_somebody_uses(chip: Chip) -> None:
    chip.extend(7)
    chip.guess_wrong(3)
    chip.keep_storage_key(RSA)
    chip.own(b"theirs")
    code, found = shown(chip)
    assert code == Exit.OK
    assert found["storage_key"] == found["parent"] != ""
    assert (found["failed_guesses"], found["locked"]) == (3, True)
    assert (found["measured"], found["owner_password"]) == (True, True)
    text = typed(chip.path).stdout
    assert "3/3, locked now\n" in text
    assert f"{found['pcr7']} (measured)" in text


def test_one_in_which_no_slot_can_be_made(chip: Chip) -> None:
    chip.own(b"theirs")
    code, found = shown(chip)
    assert code == found["exit"] == Exit.REFUSED
    assert found["problem"].startswith("E-TPM-OWNED: ")
    assert found["parent"] == ""


def test_one_without_a_sha256_bank(chip: Chip) -> None:
    chip.allocate_only_sha1()
    _, found = shown(chip)
    assert (found["pcr7"], found["measured"]) == ("", False)


def test_none(tmp_path: Path) -> None:
    done = typed(tmp_path / "tpm.sock")
    assert done.returncode == Exit.UNREACHABLE
    assert done.stderr.startswith("kleidi: E-TPM-MISSING: ")


def test_nothing_is_left_in_it(chip: Chip) -> None:
    for _ in range(2):
        shown(chip)
    with chip.talk() as exchange:
        for _ in range(3):
            create_primary(exchange, COUNTS)
