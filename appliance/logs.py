"""One line per event, JSON for machines or text for people; never a secret, never a payload."""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import Final, TextIO

from appliance.key_hash import digest
from appliance.log_stream import LogStream

log = logging.getLogger("kleidi")

Fields = Mapping[str, object]
# Of a moment in Unix seconds, a level, a message, its fields and a traceback.
Form = Callable[[float, int, str, Fields, str], str]

_NONE: Final[Fields] = {}
_EMPTY: Final = (None, "")
_LEFT_OUT: Final = "lines of the log were left out: whoever reads it is too slow"
_TRACEBACKS: Final = logging.Formatter()


def configure(*, form: str, level: str) -> None:
    """Send everything to stderr, one line each."""
    log.handlers[:] = [_Lines(_json if form == "json" else _text, sys.stderr)]
    log.setLevel(level.upper())
    log.propagate = False


def event(level: int, message: str, **fields: object) -> None:
    """Log *message* with *fields*; empty ones are left out, and what the API server calls a key is added."""
    if log.isEnabledFor(level):
        if key_id := fields.get("key_id"):
            fields["key_id_hash"] = digest(str(key_id))
        # A request's line: what `logging` would do for it costs as much as the request.
        if (lines := _only()) is not None:
            lines.tell(time.time(), level, message, fields)
        else:
            log.log(level, message, extra={"fields": fields})


def batched() -> contextlib.AbstractContextManager[None]:
    """For a server: lines may be up to 10 ms late inside of this, and nobody waits for whoever reads them."""
    lines = _only()
    return contextlib.nullcontext() if lines is None else lines.batched()


class _Lines(logging.Handler):
    """What `logging` hands over, a bug with its traceback for one, goes the way of every event from here."""

    def __init__(self, form: Form, stream: TextIO | None) -> None:
        super().__init__()
        self._form = form
        self._stream = LogStream(stream, self._left_out)
        self.batched = self._stream.batched

    def flush(self) -> None:
        self._stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        traceback = _TRACEBACKS.formatException(record.exc_info) if record.exc_info else ""
        fields: Fields = getattr(record, "fields", _NONE)
        self.tell(record.created, record.levelno, record.getMessage(), fields, traceback)

    def tell(self, moment: float, level: int, message: str, fields: Fields, traceback: str = "") -> None:
        line = self._form(moment, level, message, fields, traceback)
        self._stream.write(line, urgent=level >= logging.ERROR)

    def _left_out(self, number: int) -> str:
        return self._form(time.time(), logging.WARNING, _LEFT_OUT, {"left_out": number}, "")


def _only() -> _Lines | None:
    """Ours, when nobody else listens."""
    handlers = log.handlers
    first = handlers[0] if len(handlers) == 1 and not log.propagate else None
    return first if isinstance(first, _Lines) else None


def _json(moment: float, level: int, message: str, fields: Fields, traceback: str) -> str:
    """The control plane's own keys: ts in milliseconds, msg (component-base, --logging-format=json).

    As json.dumps would write it, by hand.
    """
    ts = repr(round(moment * 1_000_000) / 1000)  # to three places, which round() takes four times as long for
    parts = [f'{{"ts": {ts}, "level": "{_name(level)}", "msg": {encode_basestring_ascii(message)}']
    parts += [f"{_key(name)}{_value(value)}" for name, value in fields.items() if value not in _EMPTY]
    if traceback:
        parts.append(f"{_key('traceback')}{encode_basestring_ascii(traceback)}")
    return "".join(parts) + "}"


@lru_cache(maxsize=256)  # they stand in our own code
def _key(name: str) -> str:
    return f", {encode_basestring_ascii(name)}: "


@lru_cache
def _name(level: int) -> str:
    return logging.getLevelName(level).lower()


def _value(value: object) -> str:
    if type(value) is str:
        return encode_basestring_ascii(value)
    if type(value) is int or (type(value) is float and isfinite(value)):
        return repr(value)
    return json.dumps(value, default=str)


def _text(moment: float, level: int, message: str, fields: Fields, traceback: str) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(moment))
    told = "".join(f" {name}={_word(value)}" for name, value in fields.items() if value not in _EMPTY)
    text = f"{clock} {_name(level):7} {_line(message)}{told}"
    return f"{text}\n{traceback}" if traceback else text


def _word(value: object) -> str:
    """As logfmt has it: what has blanks or quotes stands in quotes."""
    text = _line(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(each in text for each in ' "=') else text


def _line(value: object) -> str:
    """A caller chooses its uid, and must not be able to write a line of its own."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
