"""Writing a file so that a crash leaves either nothing or all of it, and telling what a disk refuses."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance import faults, regular
from appliance.faults import Fault, KleidiError

SCRATCH_PREFIX = ".tmp-"


# Filesystems without hard links: FAT says EPERM, others have not heard of it.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class UnsettledError(OSError):
    """Everything is in its place, but may not outlive a power cut."""


def write(
    path: Path, data: bytes, mode: int, *, replacing: bool = True, directory: int | None = None
) -> None:
    """Bring *data* to *path* by one rename; before it nothing is visible, after it everything lasts.

    Not *replacing*, it raises FileExistsError for what is there already. *directory* is a descriptor of the
    directory that the name goes into; else the path's own is opened, once: whatever happens to the path
    meanwhile, all of the steps are taken in the same directory.
    """
    with _opened(path.parent, directory) as place:
        scratch = f"{SCRATCH_PREFIX}{path.name}-{secrets.token_hex(4)}"
        try:
            _write_through(scratch, data, mode, place)
            if regular.read(scratch, len(data), directory=place) != data:
                raise OSError(errno.EIO, "what was read back differs from what was written")
            if replacing:
                os.rename(scratch, path.name, src_dir_fd=place, dst_dir_fd=place)
            else:
                _link(scratch, path.name, place)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(scratch, dir_fd=place)
            raise
        try:
            os.fsync(place)
        except OSError as error:
            raise UnsettledError(error.errno, error.strerror, path.name) from error


@contextlib.contextmanager
def _opened(path: Path, directory: int | None) -> Iterator[int]:
    if directory is not None:
        yield directory
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _link(scratch: str, name: str, place: int) -> None:
    """Like a rename, but that it never replaces."""
    try:
        os.link(scratch, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=place, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        os.rename(scratch, name, src_dir_fd=place, dst_dir_fd=place)
    else:
        os.unlink(scratch, dir_fd=place)


def _write_through(name: str, data: bytes, mode: int, place: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=place)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leftovers(directory: Path, name: str, unreadable: Fault = faults.VOLUME_UNREADABLE) -> list[Path]:
    """What interrupted writes of files that begin with *name* left behind. Raises *unreadable*."""
    with translated_as(unreadable):
        try:
            found = _names(directory)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return []  # nothing that we could have written there, or could remove
    return [directory / each for each in found if each.startswith(f"{SCRATCH_PREFIX}{name}")]


def sweep(directory: Path, name: str) -> None:
    """Remove those leftovers. Needs the volume's lock."""
    for leftover in leftovers(directory, name):
        with contextlib.suppress(OSError):
            leftover.unlink()


def names(directory: Path, unreadable: Fault) -> list[str]:
    """The names of what *directory* holds, in order. Raises *unreadable*."""
    with translated_as(unreadable):
        return _names(directory)


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def files(directory: Path, unreadable: Fault) -> Iterator[tuple[str, Path]]:
    """Everything below *directory* that is no directory, by its relative name. Follows no link.

    Raises *unreadable*: half of what is there is never taken for all of it.
    """
    ahead = [""]
    while ahead:
        inside = ahead.pop()
        for name in names(directory / inside, unreadable):
            relative = f"{inside}/{name}" if inside else name
            path = directory / relative
            with translated_as(unreadable):
                is_directory = stat.S_ISDIR(path.lstat().st_mode)
            if is_directory:
                ahead.append(relative)
            else:
                yield relative, path


@contextlib.contextmanager
def translated(unreadable: Fault, read_only: Fault, full: Fault = faults.VOLUME_FULL) -> Iterator[None]:
    """Turn the operating system's errors into faults."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fault = full
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            fault = read_only
        else:
            fault = unreadable
        raise KleidiError(fault, f"{error.strerror}: {error.filename or ''}".rstrip(": ")) from error


def translated_as(fault: Fault) -> contextlib.AbstractContextManager[None]:
    """Turn them all into this one."""
    return translated(fault, fault, fault)
