"""Where log lines go: to a stream, each at once, or in batches by a thread of their own while a server runs.

Whoever reads the stream may be slow, or not read at all. A line written at once waits for him, as any other
program's would; a batch makes only its thread wait, and what comes meanwhile is kept up to a number of lines,
then counted and left out. A kill loses what is not yet written: 10 ms of lines, but no urgent one.
"""

import contextlib
import io
import os
import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event, Thread
from typing import Final, TextIO

LATE_SECONDS: Final = 0.01
MOST_LINES: Final = 10_000
# An urgent line, and the last ones: how long to wait for a slow reader.
_URGENT_SECONDS: Final = 0.05
_LAST_SECONDS: Final = 2.0


class LogStream:
    """*left_out* gives the line that tells how many were left out."""

    def __init__(self, stream: TextIO | None, left_out: Callable[[int], str]) -> None:
        self._stream = stream
        self._left_out = left_out
        self._batches: _Batches | None = None

    def write(self, line: str, *, urgent: bool = False) -> None:
        """An urgent one has left the process when this comes back, unless the reader is slow."""
        if self._batches is None:
            self._put([line])
        else:
            self._batches.add(line, urgent=urgent)

    def flush(self) -> None:
        """Let what was written so far leave the process, unless the reader is too slow."""
        if self._batches is not None:
            self._batches.flush(_LAST_SECONDS)

    @contextlib.contextmanager
    def batched(self) -> Iterator[None]:
        """Write in batches inside of this; at its end nothing is left, unless the reader is too slow."""
        self._batches = batches = _Batches(self._put, self._left_out)
        try:
            yield
        finally:
            self._batches = None
            batches.close()

    def _put(self, lines: Sequence[str]) -> None:
        if self._stream is None:  # it was closed before we began
            return
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:
            self._stream.write("\n".join((*lines, "")))
            return
        encoded = (f"{line}\n".encode(self._stream.encoding, "backslashreplace") for line in lines)
        with contextlib.suppress(OSError):  # there is nobody to tell that nobody listens
            for piece in _pieces(encoded):
                _write_whole(descriptor, piece)


class _Batches:
    """Lines come from any thread and leave by one; nothing here is locked, for a signal may interrupt."""

    def __init__(self, put: Callable[[Sequence[str]], None], left_out: Callable[[int], str]) -> None:
        self._put = put
        self._tell = left_out
        self._lines: deque[str] = deque()
        self._left_out = self._told_of = 0
        self._some, self._now, self._idle = Event(), Event(), Event()
        self._over = False
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, line: str, *, urgent: bool) -> None:
        if len(self._lines) >= MOST_LINES:
            self._left_out += 1
            return
        self._lines.append(line)
        if urgent:
            self.flush(_URGENT_SECONDS)
        elif not self._some.is_set():
            self._some.set()

    def flush(self, seconds: float) -> None:
        self._idle.clear()
        self._now.set()
        self._some.set()
        self._idle.wait(seconds)

    def close(self) -> None:
        self._over = True
        self._now.set()
        self._some.set()
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        while not (self._over and not self._lines):
            self._some.wait()
            self._now.wait(LATE_SECONDS)
            # Cleared first: a line that comes after its batch was taken sets them again.
            self._some.clear()
            self._now.clear()
            self._write()
            if not self._lines:
                self._idle.set()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        left_out = self._left_out
        if left_out > self._told_of:
            lines.append(self._tell(left_out - self._told_of))
            self._told_of = left_out
        if lines:
            self._put(lines)


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """As many at a time as a pipe takes in one piece: others write to it as well (pipe(7))."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    yield piece


def _write_whole(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Another process that shares it made it so.
            waiting = select.poll()
            waiting.register(descriptor, select.POLLOUT)
            waiting.poll()
