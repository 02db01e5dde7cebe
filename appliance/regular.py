"""Reading files that somebody else could have put there: regular ones, up to a size, and never waiting.

A FIFO in the place of a file would hold its reader for ever, a device or a huge file would take all memory.
"""

import errno
import os
import stat
from pathlib import Path


def read(path: Path | str, most: int, *, follow: bool = False, directory: int | None = None) -> bytes:
    """All bytes of a file of at most *most* bytes. Raises OSError, also for what is no regular file.

    A link is refused unless *follow*: where an operator names the file, or a kubelet mounts it, it is theirs.
    *directory* is a descriptor that a relative *path* starts from.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, dir_fd=directory)
    try:
        check(descriptor, path, most)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)  # it may grow while it is read
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise _refusal(errno.EFBIG, f"more than {most} bytes", path)
    return data


def check(descriptor: int, path: Path | str, most: int) -> None:
    """Raise OSError when what is open is no regular file, or larger than *most* bytes."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(errno.EINVAL, "not a regular file", path)
    if status.st_size > most:
        raise _refusal(errno.EFBIG, f"more than {most} bytes", path)


def _refusal(number: int, words: str, path: Path | str) -> OSError:
    return OSError(number, words, str(path))


def words(error: Exception) -> str:
    """What went wrong, for one line: the system's words without Python's, else the error's own."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
