"""Sparing the log: bad calls by the thousand get ten lines a minute, and then one with the number left out.

What is kept is one number for each message and fault id, both from closed tables: no caller makes it grow.
"""

from collections.abc import Callable

from appliance.logs import event, log

MOST = 10
SECONDS = 60.0

# Calls a function that many seconds from now.
Later = Callable[[float, Callable[[], None]], object]


def _later(seconds: float, function: Callable[[], None]) -> object:
    import asyncio  # the provisioner has a log, and no loop

    return asyncio.get_running_loop().call_later(seconds, function)


class Sparing:
    """A minute begins with the first line of a kind; who ends within it leaves the number untold."""

    def __init__(self, later: Later = _later) -> None:
        self._later = later
        self._lines: dict[tuple[int, str, str], int] = {}

    def lets(self, level: int, message: str, fault: str = "") -> bool:
        """Whether a line of this kind may still be written; else it is counted, and told of later."""
        if not log.isEnabledFor(level):
            return False
        kind = level, message, fault
        number = self._lines[kind] = self._lines.get(kind, 0) + 1
        if number == 1:
            self._later(SECONDS, lambda: self._end(*kind))
        return number <= MOST

    def _end(self, level: int, message: str, fault: str) -> None:
        more = self._lines.pop((level, message, fault)) - MOST
        if more > 0:
            event(level, message, id=fault, repeated=more)
