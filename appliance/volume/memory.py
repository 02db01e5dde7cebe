"""The one place where a token is open: directories in memory, each gone with the process that made it."""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.mounts import mount_of

_LOCK = ".lock"


@contextlib.contextmanager
def room(base: Path) -> Iterator[Path]:
    """A private directory below *base*, removed at the end; those of dead processes are removed first.

    Raises E-MEMORY-UNSAFE when *base* is not in memory.
    """
    with durable.translated(faults.MEMORY_FULL, faults.MEMORY_FULL, faults.MEMORY_FULL):
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount = mount_of(base)
    if not mount.in_memory:
        raise KleidiError(faults.MEMORY_UNSAFE, f"{base} is on {mount.filesystem}")
    _sweep(base)
    with durable.translated(faults.MEMORY_FULL, faults.MEMORY_FULL, faults.MEMORY_FULL):
        directory, lock = _claim(base)
    try:
        yield directory
    finally:
        remove(directory)
        os.close(lock)


def _claim(base: Path) -> tuple[Path, int]:
    name = secrets.token_hex(6)
    # Hidden until its lock is held, or a process that starts at the same moment would sweep it.
    directory = base / f".{name}"
    directory.mkdir(mode=0o700)
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return directory.rename(base / name), lock


def unpack(files: Mapping[str, bytes], directory: Path) -> None:
    """Lay out a token's *files*, then forbid writing: SoftHSM tries to rewrite one at every login."""
    lay_out(files, directory)
    for path in directory.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    directory.chmod(0o500)


def lay_out(files: Mapping[str, bytes], directory: Path) -> None:
    """Write a token's *files* below a new directory."""
    with durable.translated(faults.MEMORY_FULL, faults.MEMORY_FULL, faults.MEMORY_FULL):
        directory.mkdir(mode=0o700)
        for name, data in files.items():
            path = directory / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(data)


def collect(directory: Path) -> dict[str, bytes]:
    """The files that unpack would lay out again; SoftHSM's own lock files hold nothing."""
    found = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if path.suffix != ".lock"}


def remove(directory: Path) -> None:
    """Remove a directory of read-only ones and files."""
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _sweep(base: Path) -> None:
    for directory in base.glob("[!.]*"):
        try:
            lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(directory)
        except OSError:
            pass  # its process lives
        finally:
            os.close(lock)
