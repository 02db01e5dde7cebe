"""How a command ends: whatever was raised becomes one line on stderr and an exit code."""

import contextlib
import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NoReturn, TextIO

from appliance import faults, logs
from appliance.documents import Document
from appliance.faults import Exit, KleidiError
from appliance.logs import log


@dataclass(frozen=True)
class Refused(Document):
    """Why a command was refused or failed; its line stands on stderr as well."""

    schema: ClassVar[str] = "kleidi.error/v1"
    printed_by: ClassVar[str] = "every command that is asked for JSON and fails"

    id: Annotated[str, "the fault's stable id, see errors.md"]
    exit: Annotated[int, "the exit code"]
    message: Annotated[str, "what is wrong, in a sentence that belongs to the id"]
    remedy: Annotated[str, "what to do"]
    detail: Annotated[str, "where, by whom, how much; empty when there is nothing to add"]

    @classmethod
    def of(cls, error: KleidiError) -> "Refused":
        fault = error.fault
        return cls(fault.id, fault.exit.value, fault.sentence, fault.remedy, error.detail)


# Of a file that is open, so without its name. What fills up a disk of ours is a fault before it gets here.
_UNWRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ROOMS = ("appliance", "softhsm", "proto")


@contextlib.contextmanager
def told(arguments: Sequence[str] = ()) -> Iterator[None]:
    """The last handler: nothing passes it but SystemExit and an interrupt.

    Where *arguments* ask for JSON, what was raised is a document on stdout as well.
    """
    as_json = _json(arguments)
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # while it can still be told that this fails
    except KleidiError as error:
        _end(error, as_json=as_json)
    except EOFError:
        # At one of our prompts: as much as an interrupt.
        raise KeyboardInterrupt from None
    except Exception as error:  # noqa: BLE001  a traceback is for us; an operator gets a line
        if isinstance(error, OSError) and error.errno in _UNWRITTEN and error.filename is None:
            # What waits to be written is given up, or the interpreter would try again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if error.errno == errno.EPIPE:  # the reader has what it wanted
                sys.exit(Exit.ERROR)
            _end(KleidiError(faults.OUTPUT, error.strerror or ""))
        _log(error)
        _end(KleidiError(faults.INTERNAL, _known(error)), as_json=as_json)


def _end(error: KleidiError, *, as_json: bool = False) -> NoReturn:
    with contextlib.suppress(OSError):  # nobody listens; the exit code still tells
        _print(f"kleidi: {error}", sys.stderr)
        if as_json:
            _print(Refused.of(error).to_json(), sys.stdout)
    sys.exit(error.fault.exit)


def _print(text: str, stream: TextIO | None) -> None:
    if stream is not None:  # closed from the start
        print(text, file=stream, flush=True)


def _json(arguments: Sequence[str]) -> bool:
    """Whether they ask for JSON; what cannot be parsed is not known in any better way."""
    spelled = " ".join(arguments)
    return re.search(r"(^| )(-o[ =]?|--output[ =])json( |$)", spelled) is not None


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
