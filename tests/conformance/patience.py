"""Waiting without asserting a time: poll until something is true, with a generous end."""

import time
from collections.abc import Callable
from typing import TypeVar

PAUSE_SECONDS = 0.25
T = TypeVar("T")


def eventually(
    look: Callable[[], T], *, within: float, explain: Callable[[], str] = str, pause: float = PAUSE_SECONDS
) -> T:
    """The first true value *look* returns; what it saw last, and *explain*'s words, when time runs out.

    With *pause* 0 it comes back within a millisecond, to disturb what goes on.
    """
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; last seen: {seen!r}\n{explain()}")
        time.sleep(pause)
