"""docs/backup.md does what it says: its blocks are run in order, in one shell, beside a running appliance."""

import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, to_run
from tests.rig import BIN, Appliance

PAGES = [DOCS / "backup.md"]
TOOLS = ("age", "age-keygen", "softhsm2-util", "pkcs11-tool")


def test_its_commands_run(tmp_path: Path) -> None:
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is missing: run `make test`, which installs it", pytrace=False)
    blocks = to_run(PAGES[0])
    assert len(blocks) >= 7
    script = tmp_path / "blocks.sh"
    script.write_text("\n".join(blocks))
    aside = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108
    with Appliance(tmp_path / "node") as appliance:
        (tmp_path / "node").mkdir()
        appliance.start()
        key_id = appliance.wait_ready()
        environment = {**appliance.environment, "MEMORY": str(aside)}
        # The page's own shell finds `kleidi` and a Python with PyKCS11 where the project has them.
        environment |= {"PATH": f"{BIN}:{environment['PATH']}", "KLEIDI_SLOT": "file"}
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", str(script)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "MATCHES" in ended.stdout
    assert "v1   primary" in ended.stdout
    assert key_id in ended.stdout
    assert "1 primary b'kleidi known-answer plaintext v1'" in ended.stdout
    assert not aside.exists()
