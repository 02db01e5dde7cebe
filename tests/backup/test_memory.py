"""A passphrase's key derivation needs memory; too little is told beforehand, not by the kernel."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance import faults
from appliance.age import free_memory
from appliance.age.passphrase import Passphrase
from tests.volume.house import CHECKOUT, refused

MIB = 1 << 20
SECRET = "correct horse battery"  # noqa: S105  a test's
_HEADER = b"age-encryption.org/v1\n-> scrypt c2FsdHNhbHRzYWx0c2FsdA %d\n"


@pytest.mark.parametrize(
    ("work_factor", "free", "enough"),
    [(16, 64 * MIB, True), (16, 64 * MIB - 1, False), (18, 255 * MIB, False), (19, 511 * MIB, False)],
)
def test_the_files_own_work_factor_is_held_against_what_there_is(
    monkeypatch: pytest.MonkeyPatch, work_factor: int, free: int, enough: bool
) -> None:
    monkeypatch.setattr(free_memory, "bytes_left", lambda: free)
    data = _HEADER % work_factor + bytes(100)
    expected = faults.BACKUP_CORRUPT if enough else faults.BACKUP_MEMORY
    assert refused(lambda: Passphrase(SECRET).decrypt(data)) is expected


def test_none_is_made_either_where_it_could_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "bytes_left", lambda: 60 * MIB)
    assert refused(lambda: Passphrase(SECRET).encrypt(b"")) is faults.BACKUP_MEMORY


def test_an_absurd_work_factor_is_refused() -> None:
    assert refused(lambda: Passphrase(SECRET).decrypt(_HEADER % 64 + bytes(100))) is faults.BACKUP_MEMORY


def test_a_process_with_too_little_says_so_instead_of_dying() -> None:
    """By its own limit, which malloc keeps: in a pod the kernel would end the server beside it."""
    script = (
        "import resource\n"
        "from appliance.age.passphrase import Passphrase\n"
        "from appliance.faults import KleidiError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {48 * MIB},) * 2)\n"
        "try:\n"
        f"    Passphrase({SECRET!r}).encrypt(b'')\n"
        "except KleidiError as error:\n"
        "    print(error.fault.id)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "E-BACKUP-MEMORY\n"


def _group(directory: Path, limit: str, used: int, cache: int, names: tuple[str, str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / names[0]).write_text(f"{limit}\n")
    (directory / names[1]).write_text(f"{used}\n")
    (directory / "memory.stat").write_text(f"anon 1\n{names[2]} {cache}\n")


V2 = "memory.max", "memory.current", "inactive_file"
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


def test_the_tightest_group_up_to_the_root_counts(tmp_path: Path) -> None:
    _group(tmp_path, "max", 900 * MIB, 0, V2)
    _group(tmp_path / "pod", str(384 * MIB), 200 * MIB, 50 * MIB, V2)
    _group(tmp_path / "pod" / "container", "max", 100 * MIB, 0, V2)
    assert list(free_memory._up(tmp_path, "/pod/container", *V2)) == [234 * MIB]  # noqa: SLF001


def test_a_group_that_is_its_own_root_is_seen(tmp_path: Path) -> None:
    _group(tmp_path, str(100 * MIB), 40 * MIB, 0, V1)
    assert list(free_memory._up(tmp_path, "/", *V1)) == [60 * MIB]  # noqa: SLF001
    assert list(free_memory._up(tmp_path, "/../../elsewhere", *V1)) in ([], [60 * MIB])  # noqa: SLF001


def test_there_is_some_here() -> None:
    assert free_memory.bytes_left() > 64 * MIB
