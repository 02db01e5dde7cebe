"""How a command ends: whatever was raised becomes one line on stderr and an exit code."""

import contextlib
import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator

import typer

from appliance import faults, logs
from appliance.faults import Exit, KleidiError
from appliance.logs import log

# Of a file that is open, so without its name. What fills up a disk of ours is a fault before it gets here.
_UNWRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ROOMS = ("appliance", "softhsm", "proto")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """The last handler: nothing passes it but SystemExit and an interrupt."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # while it can still be told that this fails
    except KleidiError as error:
        _end(error)
    except Exception as error:  # noqa: BLE001  a traceback is for us; an operator gets a line
        if isinstance(error, OSError) and error.errno in _UNWRITTEN and error.filename is None:
            # What waits to be written is given up, or the interpreter would try again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if error.errno == errno.EPIPE:  # the reader has what it wanted
                sys.exit(Exit.ERROR)
            _end(KleidiError(faults.OUTPUT, error.strerror or ""))
        _log(error)
        _end(KleidiError(faults.INTERNAL, _known(error)))


def _end(error: KleidiError) -> None:
    with contextlib.suppress(OSError):  # nobody listens; the exit code still tells
        typer.echo(f"kleidi: {error}", err=True)
    sys.exit(error.fault.exit)


def _known(error: Exception) -> str:
    """What it is and where. Not its text, which may quote a secret; the operating system's words do not."""
    words = [error.strerror, error.filename] if isinstance(error, OSError) else []
    places = [
        f"{room}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (room := str(frame.f_globals.get("__name__"))).partition(".")[0] in _ROOMS
    ]
    return ", ".join(str(part) for part in (type(error).__name__, *places[-1:], *words) if part)


def _log(error: Exception) -> None:
    """The traceback, at debug. Only `serve` and `provision` have a log of their own to write it to."""
    if not log.handlers and os.environ.get("KLEIDI_LOG_LEVEL") == "debug":
        logs.configure(form="text", level="debug")
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s", type(error).__name__, exc_info=error)
