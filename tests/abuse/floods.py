"""Frames by the ten thousand, none of which brings a call nearer."""

from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path

from tests.abuse.attack import Attack
from tests.abuse.peer import HELLO, peer
from tests.http2 import (
    CONTINUATION,
    DATA,
    ENCRYPT,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    LARGEST_FRAME,
    PADDED,
    PING,
    PRIORITY,
    SETTINGS,
    block,
    call,
    frame,
    headers,
    message,
    reset,
    settings,
    window,
)

_AT_ONCE = 100
_OPEN_CALL = frame(HEADERS, END_HEADERS, 1, headers(ENCRYPT)) + frame(DATA, 0, 1, message(b"", 60_000))
_OVER = frame(HEADERS, END_HEADERS, 1, headers(ENCRYPT)) + reset(1)
_TYPE_THAT_NOBODY_KNOWS = 0xEE


def flood(pieces: Callable[[], Iterator[bytes]], opening: bytes = b"", *, reads: bool = True) -> Attack:
    """The next hundred pieces, until there were enough or the server has enough."""

    async def attack(path: Path, times: int) -> str:
        source, sent = pieces(), 0
        # Who does not read learns late that nobody listens.
        times *= 1 if reads else 20
        async with peer(path, reads=reads) as one:
            await one.send(HELLO + opening)
            while sent < times and not one.over:
                await one.send(b"".join(next(source) for _ in range(_AT_ONCE)))
                sent += _AT_ONCE
            if reads:
                await one.send(frame(PING, 0, 0, bytes(8)))
                await one.until(lambda: one.over or one.answered)
            return f"{one.how} after {sent:,}"

    return attack


def _same(piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: repeat(piece)


def _resets(*, whole: bool) -> Iterator[bytes]:
    for stream in count(1, 2):
        begun = call(stream, ENCRYPT, b"\x0a\x01x") if whole else frame(HEADERS, 5, stream, headers(ENCRYPT))
        yield begun + reset(stream)


def _priorities() -> Iterator[bytes]:
    for stream in count(1, 2):
        yield frame(PRIORITY, 0, stream % (1 << 31), b"\0\0\0\0\x10")


def _windows() -> Iterator[bytes]:
    for size in count():
        yield settings((INITIAL_WINDOW, 1 + size % 60_000))


_NO_END = frame(HEADERS, 0, 1, headers(ENCRYPT))
FLOODS: dict[str, Attack] = {
    "rapid reset": flood(lambda: _resets(whole=False)),
    "rapid reset, whole calls": flood(lambda: _resets(whole=True)),
    "CONTINUATION, full": flood(
        _same(frame(CONTINUATION, 0, 1, block(("x-more", "m" * 16_000))[:LARGEST_FRAME])), _NO_END
    ),
    "CONTINUATION, empty": flood(_same(frame(CONTINUATION, 0, 1)), _NO_END),
    "SETTINGS": flood(_same(SETTINGS)),
    "SETTINGS, unread": flood(_same(SETTINGS), reads=False),
    "SETTINGS that change the window": flood(_windows, _OPEN_CALL),
    "PING": flood(_same(frame(PING, 0, 0, b"flooding"))),
    "PING, unread": flood(_same(frame(PING, 0, 0, bytes(8))), reads=False),
    "empty DATA": flood(_same(frame(DATA, 0, 1)), _OPEN_CALL),
    "DATA in crumbs": flood(_same(frame(DATA, 0, 1, b"\0\1")), _OPEN_CALL),
    "DATA of padding": flood(_same(frame(DATA, PADDED, 1, b"\x09" + bytes(9))), _OPEN_CALL),
    "DATA behind the end": flood(_same(frame(DATA, END_STREAM, 1)), _OPEN_CALL),
    "HEADERS of a stream that is over": flood(
        _same(frame(HEADERS, END_HEADERS | END_STREAM, 1, headers(ENCRYPT))), _OVER
    ),
    "DATA of a stream that is over": flood(_same(frame(DATA, 0, 1, bytes(1000))), _OVER),
    "PRIORITY": flood(_priorities),
    "WINDOW_UPDATE by one": flood(_same(window(0, 1))),
    "GOAWAY": flood(_same(frame(GOAWAY, 0, 0, bytes(8)))),
    "frames of no known type": flood(_same(frame(_TYPE_THAT_NOBODY_KNOWS, 0, 0))),
}
