"""One line per event, JSON for machines or text for people; never a secret, never a payload."""

import json
import logging
import sys
import time
from typing import Any

log = logging.getLogger("kleidi")


def configure(*, form: str, level: str) -> None:
    """Send everything to stderr, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False


def event(level: int, message: str, **fields: object) -> None:
    """Log *message* with *fields*; empty ones are left out."""
    if log.isEnabledFor(level):
        log.log(level, message, extra={"fields": fields})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, object] = getattr(record, "fields", {})
    return {name: value for name, value in fields.items() if value not in (None, "")}


class _Json(logging.Formatter):
    """The control plane's own keys: ts in milliseconds, msg (component-base, --logging-format=json)."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": round(record.created * 1000, 3),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={_word(value)}" for name, value in _fields(record).items())
        text = f"{moment} {record.levelname.lower():7} {_line(record.getMessage())}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _word(value: object) -> str:
    """As logfmt has it: what has blanks or quotes stands in quotes."""
    text = _line(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(each in text for each in ' "=') else text


def _line(value: object) -> str:
    """A caller chooses its uid, and must not be able to write a line of its own."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
