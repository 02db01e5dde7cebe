"""How a container reaches a TPM, and what is told where it may not: the kernel's own words for it.

The device has a TPM's numbers, and no TPM behind it: what is asked is whether it may be opened.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.engine import Engine
from tests.container.pod import IMAGE, OWN_USER
from tests.tpm.chip import Chip

GROUP = 109
# /dev/tpm0, here or not (Documentation/admin-guide/devices.txt).
MAJOR, MINOR = 10, 224


@pytest.fixture
def device(engine: Engine) -> Iterator[Path]:
    """As udev makes a TPM's: for root and for a group."""
    path = engine.root / "tpmrm0"
    os.mknod(path, stat.S_IFCHR, os.makedev(MAJOR, MINOR))
    path.chmod(0o660)
    os.chown(path, 0, GROUP)
    yield path
    path.unlink()


def shown(engine: Engine, *options: str) -> subprocess.CompletedProcess[str]:
    asked = ("--env", "KLEIDI_TPM=/dev/tpmrm0", "--entrypoint", "kleidi", IMAGE, "tpm", "show")
    return engine.call("run", "--rm", "--network", "none", "--cap-drop", "all", *options, *asked)


@pytest.mark.parametrize("user", ["0", str(OWN_USER)])
def test_a_mount_alone_gives_no_right_to_a_device(engine: Engine, device: Path, user: str) -> None:
    mounted = ("--volume", f"{device}:/dev/tpmrm0", "--group-add", str(GROUP))
    done = shown(engine, "--user", user, *mounted)
    assert "E-TPM-FORBIDDEN" in done.stderr
    assert "(the container may not open devices)" in done.stderr


def test_a_device_is_for_its_group(engine: Engine, device: Path) -> None:
    given = ("--device", f"{device}:/dev/tpmrm0", "--user", str(OWN_USER))
    done = shown(engine, *given)
    assert "E-TPM-FORBIDDEN" in done.stderr
    assert f"(not in the group of /dev/tpmrm0 (gid {GROUP}))" in done.stderr
    assert "E-TPM-FORBIDDEN" not in shown(engine, *given, "--group-add", str(GROUP)).stderr


def test_a_socket_needs_nothing_but_its_directory(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "chip").mkdir()
    with Chip(tmp_path / "chip") as chip:
        chip.path.chmod(0o666)
        mounted = ("--volume", f"{chip.path.parent}:/run/kleidi-tpm", "--user", str(OWN_USER))
        named = ("--env", f"KLEIDI_TPM=unix:///run/kleidi-tpm/{chip.path.name}")
        asked = ("--entrypoint", "kleidi", IMAGE, "tpm", "show")
        told = engine.run("run", "--rm", "--network", "none", "--cap-drop", "all", *mounted, *named, *asked)
    assert "can be made" in told
