"""What an operator names: a file, a pipe, or - for standard input; never more of it than somebody takes.

A FIFO is meant here, and waited for. `regular` is for what somebody else could have put there.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import cast

from appliance import faults
from appliance.faults import Fault, KleidiError

STDIN = "-"


@contextmanager
def opened(name: str | Path, unreadable: Fault = faults.INPUT_UNREADABLE) -> Iterator[BufferedReader]:
    """For taking it piece by piece. Raises *unreadable* for what cannot be opened."""
    try:
        source = _stdin() if str(name) == STDIN else Path(name).open("rb")  # noqa: SIM115  # closed below
    except (OSError, ValueError) as error:
        raise KleidiError(unreadable, _told(name, error)) from error
    # Standard input is not ours to close.
    with nullcontext(source) if str(name) == STDIN else source as stream:
        yield stream


def read(
    name: str | Path, most: int, *, unreadable: Fault = faults.INPUT_UNREADABLE, larger: Fault | None = None
) -> bytes:
    """All of it. Raises *unreadable*; *larger*, or the same, for more than *most* bytes."""
    with opened(name, unreadable) as stream:
        try:
            data = stream.read(most + 1)
        except OSError as error:
            raise KleidiError(unreadable, _told(name, error)) from error
    if len(data) > most:
        raise KleidiError(larger or unreadable, f"{name}: more than {most} bytes")
    return data


def _stdin() -> BufferedReader:
    if sys.stdin is None:  # started with it closed
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return cast("BufferedReader", sys.stdin.buffer)


def _told(name: str | Path, error: OSError | ValueError) -> str:
    return f"{name}: {(isinstance(error, OSError) and error.strerror) or error}"
