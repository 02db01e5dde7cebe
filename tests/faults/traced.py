"""strace: what a process does to what lasts, and a fault at any step of that."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

_CHANGING = (
    "openat,creat,write,pwrite64,writev,ftruncate,fallocate,fsync,fdatasync,fchmod,chmod,fchmodat,fchown,chown,"
    "fchownat,lchown,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir"
)
_READING = "read,pread64,getdents64,flock"
# One word for what a path and a directory's descriptor do alike.
_ACTS = {
    "creat": "create",
    "pwrite64": "write",
    "writev": "write",
    "fdatasync": "fsync",
    "fchmod": "chmod",
    "fchmodat": "chmod",
    "fchown": "chown",
    "fchownat": "chown",
    "lchown": "chown",
    "mkdirat": "mkdir",
    "renameat": "rename",
    "renameat2": "rename",
    "linkat": "link",
    "symlinkat": "symlink",
    "unlinkat": "unlink",
}
# A call that another thread interrupts stands in two lines; the first has what it was called with.
_LINE = re.compile(r"^(?:(\d+) +)?(\w+)\((.*?)(?:\) += (.*)| <unfinished \.\.\.>)$")
_PATH = re.compile(r'"(/[^"]*)"|<(/[^>]*)>')
_BELOW = re.compile(r'<(/[^>]*)>, "([^/"][^"]*)"')


@dataclass(frozen=True)
class Point:
    """The *number*-th call of *syscall* that touches what lasts; *text* is what it was called with."""

    syscall: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.syscall} {self.number}"

    @property
    def act(self) -> str:
        """What it does, be it by path or by a directory's descriptor: create, write, rename, and so on."""
        if self.syscall == "openat":
            return "create" if re.search(r"O_CREAT|O_TRUNC", self.text) else "open"
        return _ACTS.get(self.syscall, self.syscall)

    @property
    def quoted(self) -> list[str]:
        """The files that it names, as it names them."""
        return re.findall(r'"([^"]*)"', self.text)

    @property
    def names(self) -> list[str]:
        """The same without their directories."""
        return [Path(name).name for name in self.quoted]


def require_strace() -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: run `make test`, which installs it", pytrace=False)


def tracer(output: Path, paths: Iterable[Path] = (), *options: str) -> tuple[str, ...]:
    """Counts only calls that touch one of *paths*, by name or by descriptor; without any, all calls."""
    output.unlink(missing_ok=True)
    watched = [argument for path in paths for argument in ("-P", str(path))]
    return (
        "strace",
        "-f",
        "-y",
        "-s",
        "16",
        "-o",
        str(output),
        "-e",
        f"trace={_CHANGING},{_READING}",
        *options,
        *watched,
    )


def lasting(lines: Iterable[str], root: Path) -> list[Path]:
    """Every path below *root* in *lines*: a path, a descriptor, a name below a directory's descriptor."""
    found = {root}
    for line in lines:
        found |= {Path(named or held) for named, held in _PATH.findall(line)}
        if re.search(r"\b\w+at2?\(", line):
            found |= {Path(directory, name) for directory, name in _BELOW.findall(line)}
    return sorted(path for path in found if path.is_relative_to(root))


def points(lines: Iterable[str], *, reading: bool = False) -> list[Point]:
    """The calls in *lines* that change what lasts, or that only read it, numbered as strace counts them."""
    found, counts, threads = [], Counter[str](), set()
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        thread, syscall, arguments, _ = match.groups()
        counts[syscall] += 1
        threads.add(thread)
        point = Point(syscall, counts[syscall], arguments)
        if (point.act in ("open", *_READING.split(","))) == reading:
            found.append(point)
    assert len(threads) <= 1, "several threads touch what lasts: strace would count each on its own"
    return found


def written_paths(lines: Iterable[str]) -> set[Path]:
    """Whatever *lines* open for writing, make, move or link."""
    found = set()
    for line in lines:
        match = _LINE.match(line)
        if match is None or (match[4] or "").startswith("-1"):
            continue
        point = Point(match[2], 0, match[3])
        makes = point.act in ("create", "mkdir", "rename", "link", "symlink")
        if makes or re.search(r"O_WRONLY|O_RDWR", point.text):
            below = _BELOW.findall(point.text)
            found |= {Path(directory, name) for directory, name in below}
            found |= {Path(path) for path in point.quoted if path not in {name for _, name in below}}
    return found
