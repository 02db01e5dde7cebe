"""A kleidi command under strace: what it does to what lasts, and a fault at any step of that."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.volume.house import KLEIDI, House

# The very command, but that its scratch files have names which strace can be told beforehand.
SUFFIX = "feedbeef"
_SCRIPT = f"""
import secrets, sys
draw = secrets.token_hex
secrets.token_hex = lambda size=None: {SUFFIX!r} if size == 4 else draw(size)
sys.argv[0] = "kleidi"
from appliance.__main__ import main
main()
"""
STEADY = (sys.executable, "-c", _SCRIPT)
PROVISION = ("provision",)
_GENERATIONS = 9
MUTATING = (
    "openat,creat,write,pwrite64,writev,ftruncate,fallocate,fsync,fdatasync,fchmod,chmod,fchmodat,fchown,chown,"
    "mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir"
)
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (.*)$")


@dataclass(frozen=True)
class Point:
    """The *number*-th call of *syscall* that touches what lasts."""

    syscall: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.syscall} {self.number}"


def require_strace() -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: run `make test`, which installs it", pytrace=False)


def _lasting(house: House) -> list[str]:
    """Every path below volume and etc that a command may use, as strace's -P wants them."""
    files = [
        house.volume / "lock",
        house.volume / "audit.jsonl",
        house.volume / "ledger.json",
        *(house.volume / f"generation-{number:08}.seal" for number in range(1, _GENERATIONS)),
        house.seal_key,
        house.anchor,
        house.etc / "seal.key.used",
    ]
    scratch = [path.with_name(f".tmp-{path.name}-{SUFFIX}") for path in files]
    paths = [house.volume, house.etc, *files, *scratch]
    return [argument for path in paths for argument in ("-P", str(path))]


def strace(
    house: House, *options: str, command: tuple[str, ...] = PROVISION, program: tuple[str, ...] = ()
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run kleidi's *command*, or a *program*, once; its end, and the calls that touched what lasts."""
    output = house.root / "strace"
    output.unlink(missing_ok=True)
    tracer = ["strace", "-f", "-qq", "-s", "16", "-o", str(output), "-e", f"trace={MUTATING}"]
    ended = house.run(*tracer, *options, *_lasting(house), *(program or (*STEADY, *command)))
    return ended, output.read_text().splitlines()


def points(lines: list[str]) -> list[Point]:
    """The mutating calls among *lines*, numbered as strace counts them."""
    found, counts = [], dict.fromkeys(MUTATING.split(","), 0)
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        syscall, arguments, _ = match.groups()
        counts[syscall] += 1
        if syscall != "openat" or "O_CREAT" in arguments:
            found.append(Point(syscall, counts[syscall], arguments))
    return found


def written_paths(house: House) -> set[Path]:
    """Whatever the plain command opens for writing, makes or renames, anywhere."""
    output = house.root / "strace"
    calls = "openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
    ended = house.run("strace", "-f", "-qq", "-o", str(output), "-e", f"trace={calls}", *KLEIDI, "provision")
    assert ended.returncode == 0, ended.stderr
    found = set()
    for line in output.read_text().splitlines():
        match = _LINE.match(line)
        if match is None or match[3].startswith("-1"):
            continue
        if match[1] != "openat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT", match[2]):
            found |= {Path(path) for path in re.findall(r'"([^"]*)"', match[2])}
    return found
