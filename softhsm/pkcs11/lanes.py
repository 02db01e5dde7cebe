"""Who may be inside of the module: so many calls at a time, or one who is to be alone there.

A call into C cannot be taken back. So nobody waits without an end for one that does not come back, and
when all lanes are taken by such calls whoever comes is told at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic
from typing import Final

from softhsm.pkcs11.errors import AwayError

_NOBODY: Final = 0.0


class Lanes:
    """*seconds*: how long a call may be inside before it is taken for one that hangs."""

    def __init__(self, count: int, seconds: float) -> None:
        self._changed = Condition()
        self._count = count
        self._seconds = seconds
        self._inside: dict[object, float] = {}
        self._closed = False
        self._alone_since = _NOBODY

    def limit(self, count: int) -> None:
        """From now on so many; those that are inside stay."""
        with self._changed:
            self._count = max(1, count)
            self._changed.notify_all()

    @contextmanager
    def call(self, deadline: float) -> Iterator[None]:
        """Take a lane, before *deadline* on the monotonic clock. Raises `AwayError`."""
        ticket = object()
        with self._changed:
            while self._closed or len(self._inside) >= self._count:
                self._refuse_what_is_hopeless()
                self._wait(deadline, "no lane into the module became free")
            self._inside[ticket] = monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._inside[ticket]
                self._changed.notify_all()

    @contextmanager
    def alone(self, deadline: float) -> Iterator[None]:
        """Wait until nobody is inside, and let nobody in. The caller is in no lane."""
        with self._changed:
            while self._closed:
                self._refuse_what_is_hopeless()
                self._wait(deadline, "somebody else starts the module anew")
            self._closed = True
            try:
                while self._inside:
                    self._wait(deadline, f"{len(self._inside)} calls are in the module and do not end")
            except BaseException:
                self._open()
                raise
            self._alone_since = monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._open()

    def _open(self) -> None:
        self._closed, self._alone_since = False, _NOBODY
        self._changed.notify_all()

    def _wait(self, deadline: float, words: str) -> None:
        left = deadline - monotonic()
        if left <= 0 or not self._changed.wait(left):
            raise AwayError(words)

    def _refuse_what_is_hopeless(self) -> None:
        now = monotonic()
        since = [self._alone_since] if self._alone_since else [*self._inside.values()]
        if len(since) >= (1 if self._alone_since else self._count) and now - max(since) > self._seconds:
            raise AwayError(
                f"{len(since)} of {self._count} calls have been in the module for {now - min(since):.0f} s "
                "and do not come back"
            )
