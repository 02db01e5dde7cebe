"""What a process does to keep its memory its own."""

import contextlib
import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def shut() -> None:
    """Be unreadable, and make no files for others."""
    os.umask(0o077)
    unreadable()


def unreadable() -> None:
    """No core dumps, no reading of our memory by others of the same user.

    The latter is undone by exec, so the process that holds secrets calls this itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def allow_many_files() -> None:
    """A thousand idle connections must not use up the files that the next good call needs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
