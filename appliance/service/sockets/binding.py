"""What can be bound to a path, and how a socket is made there."""

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol


class Bound(Protocol):
    """Whatever answers at a path it was bound to."""

    async def stop(self, grace: float) -> None:
        """Take nobody new; let what is under way end within *grace* seconds."""


class Listens(Protocol):
    """A place where callers come in; as text, where that is."""

    async def open(self) -> None:
        """Raises KleidiError; where the node is not ready for us, one that is a warning: then try again."""

    async def keep(self, seconds: float, grace: float) -> str:
        """Look after it once, *seconds* from now; returns who has taken it, "" when it is ours."""
        ...

    async def close(self, grace: float) -> None:
        """Let calls in flight end within *grace* seconds."""


# Raises OSError when the path cannot be bound.
Bind = Callable[[Path], Awaitable[Bound]]


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Let a socket that is bound now be for its owner alone, from its first moment."""
    mask = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(mask)


def bound_socket(path: Path) -> socket.socket:
    """One that nobody listens on yet."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with private():
            made.bind(str(path))
    except BaseException:
        made.close()
        raise
    return made
