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

    Undone by exec, so each process calls it itself, before anything else.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def allow_many_files() -> None:
    """A thousand idle connections must not use up the files that the next good call needs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
