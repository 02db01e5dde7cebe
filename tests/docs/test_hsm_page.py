"""docs/hsm.md does what it says, with SoftHSM where the reader has a device."""

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, run, to_run, without_settings
from tests.rig import BIN

PAGES = [DOCS / "hsm.md"]


def test_its_commands_run(tmp_path: Path) -> None:
    if shutil.which("softhsm2-util") is None:
        pytest.fail("softhsm2-util is missing: run `make test`, which installs it", pytrace=False)
    environment = without_settings()
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    (said, shown) = run(to_run(PAGES[0]), tmp_path, environment)
    assert "AES-GCM     yes, nonces ours" in said
    assert "loose       nothing" in said
    assert "mountPath: /opt/hsm\n      readOnly: true" in shown
