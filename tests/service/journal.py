"""What the server logged, line by line."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

from appliance import logs
from tests.docs.fields import documented


class Journal:
    def __init__(self) -> None:
        self._stream = io.StringIO()
        self._stray = io.StringIO()

    @contextlib.contextmanager
    def kept(self, form: str) -> Iterator[None]:
        """Let the process log here, in *form*; what others log of the server is never all right."""
        handlers, propagate = logs.log.handlers[:], logs.log.propagate
        with contextlib.redirect_stderr(self._stream):
            logs.configure(form=form, level="debug")
        stray = logging.StreamHandler(self._stray)
        stray.setLevel(logging.WARNING)
        logging.getLogger().addHandler(stray)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(stray)
            logs.log.handlers[:], logs.log.propagate = handlers, propagate
        assert not self._stray.getvalue()
        if form == "json":
            assert {field for line in self.lines() for field in line} <= documented()

    @property
    def text(self) -> str:
        for handler in logs.log.handlers:
            handler.flush()  # lines of a server may be late
        return self._stream.getvalue()

    def lines(self, **fields: object) -> list[dict[str, Any]]:
        """All lines, each of them JSON, that have these *fields*."""
        every = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in every if fields.items() <= line.items()]
