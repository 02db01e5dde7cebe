"""Debian's `age`, as an operator has it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.age.key_pairs import Identities
from tests.backup import terminal

SECONDS = 60


def program() -> str:
    found = shutil.which("age")
    if found is None:
        pytest.fail("age is missing: run `make test`, which installs it", pytrace=False)
    return found


def decrypt(data: bytes, identity: Identities, directory: Path) -> bytes:
    file = directory / "identity"
    file.write_text("\n".join(identity.secrets) + "\n")
    command = [program(), "--decrypt", "--identity", str(file)]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=SECONDS).stdout


def encrypt(data: bytes, identity: Identities, *more: str) -> bytes:
    to = [argument for name in identity.recipients.names for argument in ("--recipient", name)]
    command = [program(), "--encrypt", *more, *to]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=SECONDS).stdout


def with_passphrase(arguments: list[str], passphrase: str) -> None:
    code, said = terminal.answer(Path(program()), arguments, [passphrase] * 2, os.environ)
    assert code == 0, said
