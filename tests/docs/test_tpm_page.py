"""docs/tpm.md does what it says, on directories that are laid out as its nodes."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, run, to_run, without_settings
from tests.rig import BIN

PAGES = [DOCS / "tpm.md"]


def end(pid: Path) -> None:
    """The software TPM, where a block did not come to its end."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="the page installs, and a node is root's")
def test_its_commands_run(tmp_path: Path) -> None:
    environment = without_settings()
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    try:
        relay, podman, alone, chip = run(to_run(PAGES[0]), tmp_path, environment)
    finally:
        end(tmp_path / "chip/pid")
    assert "kleidi-tpm.socket" in relay
    assert "AddDevice=/dev/tpmrm0\nPodmanArgs=--group-add=109\n" in podman
    assert "can be made" in chip
    assert 'KLEIDI_SLOT\n      value: "tpm"' in alone


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_the_unit_that_it_shows_is_one(tmp_path: Path) -> None:
    _, _, rest = PAGES[0].read_text().partition("<<'END'\n")
    unit = tmp_path / "kleidi-seal-key.service"
    unit.write_text(rest.partition("END\n")[0])
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "kleidi" in line] == []
