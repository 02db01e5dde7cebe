"""Directories of this user's alone, in places where others may have been first.

/dev/shm and /tmp are everybody's: whoever guesses a name can put a directory or a link there, and wait.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_ROOT = 0
_MAX_LINKS = 40  # as many as the kernel follows (path_resolution(7))


class SharedError(PermissionError):
    """What is there belongs to another user, or can be changed by one."""


def directory(path: Path, *, make: bool = True) -> Path:
    """*path* without links: a directory of this user's, closed to others, that nobody else can exchange.

    What is missing is made, if *make*. Raises SharedError; other OSErrors where it cannot be made or reached.
    """
    return _own(_reached(path, make=make))


def below(mount: Path, *, make: bool = True) -> Path:
    """The same, just below a mount point that is open to all, as an emptyDir is when the kubelet mounts it.

    Who mounts is root, and means it for us. Others who find it could still move ours away, though never look
    into it; the next to ask for it would be told.
    """
    real = _reached(mount, make=False)
    if not _trusted(real.lstat()):
        raise _refusal("belongs to another user", real)
    inside = real / f"user-{os.geteuid()}"
    if make:
        _make(inside)
    return _own(inside)


def unwritable(path: Path) -> None:
    """Raise SharedError where somebody else than we and root can put something of their own."""
    status = path.stat()
    if not _trusted(status):
        raise _refusal("belongs to another user", path)
    if status.st_mode & 0o022:
        raise _refusal("can be written by others", path)


def _reached(path: Path, *, make: bool) -> Path:
    """*path* by way of what only we and root can change; a link in its own place is not followed."""
    real, ahead, links = Path("/"), [*reversed(path.absolute().parts[1:])], 0
    while ahead:
        _check_passage(real)
        name = ahead.pop()
        step = real.parent if name == ".." else real / name
        if make:
            _make(step)
        status = step.lstat()
        if not (ahead and stat.S_ISLNK(status.st_mode)):
            real = step
            continue
        if not _trusted(status):
            raise _refusal("is another user's link", step)
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = step.readlink()
        real = Path("/") if target.is_absolute() else real
        ahead += [part for part in reversed(target.parts) if part != "/"]
    return real


def _check_passage(real: Path) -> None:
    status = real.lstat()
    if not _trusted(status):
        raise _refusal("belongs to another user", real)
    # With the sticky bit others may add names, but not touch ours.
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise _refusal("can be written by others", real)


def _own(real: Path) -> Path:
    status = real.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise _refusal("is a link", real)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(real))
    if status.st_uid != os.geteuid():
        raise _refusal("belongs to another user", real)
    if status.st_mode & 0o077:
        raise _refusal("is open to others", real)
    return real


def _make(path: Path) -> None:
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)


def _trusted(status: os.stat_result) -> bool:
    return status.st_uid in (_ROOT, os.geteuid())


def _refusal(words: str, path: Path) -> SharedError:
    return SharedError(errno.EPERM, words, str(path))
