"""What we sealed opens with the stock tools, so that nobody needs us to get at it."""

import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.tpm.wire import sized
from tests.tpm.chip import Chip

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not shutil.which("tpm2_unseal"), reason="tpm2-tools are not here: make interop"),
]
KEY = secrets.token_bytes(32)
# The storage key of our template, in their words.
PARENT = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"


class Tools:
    def __init__(self, chip: Chip, directory: Path) -> None:
        self._chip = chip
        self._directory = directory

    def __call__(self, name: str, *arguments: str) -> bytes:
        done = subprocess.run(
            [f"tpm2_{name}", *arguments, "-T", f"swtpm:path={self._chip.path}"],
            cwd=self._directory,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def create_primary(self) -> None:
        self("createprimary", "-Q", "-C", "o", "-G", "ecc", "-a", PARENT, "-c", "parent")
        # The chip has room for three.
        self("flushcontext", "-t")


@pytest.fixture
def tools(chip: Chip, tmp_path: Path) -> Tools:
    return Tools(chip, tmp_path)


def test_their_storage_key_is_ours(chip: Chip, tools: Tools, tmp_path: Path) -> None:
    tools.create_primary()
    tools("readpublic", "-Q", "-c", "parent", "-n", "name")
    tools("flushcontext", "-t")
    assert (tmp_path / "name").read_bytes() == chip.seal(KEY).parent


@pytest.mark.parametrize("numbers", [(), (7,), (7, 11)])
def test_tpm2_unseal_opens_it(chip: Chip, tools: Tools, tmp_path: Path, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        chip.extend(number)
    made = chip.seal(KEY, numbers)
    (tmp_path / "public").write_bytes(sized(made.public))
    (tmp_path / "private").write_bytes(sized(made.private))
    tools.create_primary()
    tools("load", "-Q", "-C", "parent", "-u", "public", "-r", "private", "-c", "sealed")
    tools("flushcontext", "-t")
    policy = ["-p", "pcr:sha256:" + ",".join(map(str, numbers))] if numbers else []
    assert tools("unseal", "-c", "sealed", *policy) == KEY


def test_a_storage_key_that_they_keep_is_used(chip: Chip, tools: Tools) -> None:
    tools.create_primary()
    tools("evictcontrol", "-Q", "-C", "o", "-c", "parent", "0x81000001")
    made = chip.seal(KEY)
    chip.own(b"theirs")
    assert chip.unseal(made) == KEY
