"""The one place where a token is open: directories in memory, each gone with the process that made it."""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance import faults, private, regular
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.mounts import is_mount_point, mount_of

_LOCK = ".lock"
_ROOM = re.compile(r"[0-9a-f]{12}")
_MAX_FILE = 1 << 20  # bytes: an object of SoftHSM's has some hundred


@contextlib.contextmanager
def room(base: Path) -> Iterator[Path]:
    """A private directory below *base*, removed at the end; those of dead processes are removed first.

    Raises E-MEMORY-UNSAFE when *base* is not in memory, E-MEMORY-SHARED when others can reach into it.
    """
    _check(base)
    own = home(base)
    _check(own)  # nobody else could change it any more
    _sweep(own)
    with durable.translated_as(faults.MEMORY_FULL):
        directory, lock = _claim(own)
    try:
        yield directory
    finally:
        remove(directory)
        os.close(lock)


def home(base: Path, *, make: bool = True) -> Path:
    """Where rooms are: *base*, or where that is a mount of its own and open to all, a directory just below.

    Raises E-MEMORY-SHARED, and E-MEMORY-FULL when it cannot be made, or is not there and not to be made.
    """
    with durable.translated_as(faults.MEMORY_FULL):
        try:
            try:
                return private.directory(base, make=make)
            except private.SharedError:
                if not is_mount_point(base):
                    raise
                return private.below(base, make=make)
        except private.SharedError as error:
            raise KleidiError(faults.MEMORY_SHARED, f"{error.filename} {error.strerror}") from error


def leave(base: Path) -> None:
    """At the end: nothing of ours stays in a mount that is open to all, unless somebody has a room there."""
    with contextlib.suppress(OSError, KleidiError):
        own = home(base, make=False)
        if not own.samefile(base):
            own.rmdir()


def _check(directory: Path) -> None:
    mount = mount_of(directory)
    if not mount.in_memory:
        raise KleidiError(faults.MEMORY_UNSAFE, f"{directory} is on {mount.filesystem}")


def _claim(own: Path) -> tuple[Path, int]:
    name = secrets.token_hex(6)
    # Hidden until its lock is held, or a process that starts at the same moment would sweep it.
    directory = own / f".{name}"
    directory.mkdir(mode=0o700)
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return directory.rename(own / name), lock


def unpack(files: Mapping[str, bytes], directory: Path) -> None:
    """Lay out a token's *files*, then forbid writing: SoftHSM tries to rewrite one at every login."""
    lay_out(files, directory)
    with durable.translated_as(faults.MEMORY_FULL):
        for name in files:
            path = directory / name
            path.chmod(0o400)
            path.parent.chmod(0o500)
        directory.chmod(0o500)


def lay_out(files: Mapping[str, bytes], directory: Path) -> None:
    """Write a token's *files* below a new directory."""
    with durable.translated_as(faults.MEMORY_FULL):
        directory.mkdir(mode=0o700)
        for name, data in files.items():
            path = directory / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)


def collect(directory: Path) -> dict[str, bytes]:
    """The files that unpack would lay out again; SoftHSM's own lock files hold nothing."""
    found = durable.files(directory, faults.MEMORY_FULL)
    with durable.translated_as(faults.MEMORY_FULL):
        return {name: regular.read(path, _MAX_FILE) for name, path in found if path.suffix != ".lock"}


def remove(directory: Path) -> None:
    """Remove a directory of read-only ones and files, and nothing that a link in it points to."""
    with contextlib.suppress(OSError):
        for _, _, _, descriptor in os.fwalk(directory, follow_symlinks=False):
            os.fchmod(descriptor, 0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _sweep(own: Path) -> None:
    for name in durable.names(own, faults.MEMORY_FULL):
        if not _ROOM.fullmatch(name):
            continue
        try:
            lock = _open_lock(own / name)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(own / name)
        except OSError:
            pass  # its process lives
        finally:
            os.close(lock)


def _open_lock(directory: Path) -> int:
    found = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=found)
    finally:
        os.close(found)
