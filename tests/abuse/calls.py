"""Calls that are not as they should be: each on a connection of its own, and by the thousand."""

import asyncio
import contextlib
import gzip
import random
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.abuse.attack import Attack
from tests.abuse.peer import HELLO, Peer, peer, said
from tests.http2 import (
    DATA,
    ENCRYPT,
    END_HEADERS,
    END_STREAM,
    GRPC,
    HEADERS,
    INITIAL_WINDOW,
    PREFACE,
    PSEUDO,
    STATUS,
    Pairs,
    block,
    call,
    frame,
    headers,
    message,
    settings,
    window,
)

_PATH = ((":path", STATUS),)
_GOOD: Pairs = (*PSEUDO, *_PATH, *GRPC)
_WHOLE = END_HEADERS | END_STREAM
_EMPTY = message(b"")
_READING_SECONDS = 2.0


def each(requests: Sequence[bytes]) -> Attack:
    """Every one on its own connection, until it has got something for it."""

    async def attack(path: Path, times: int) -> str:
        heard: Counter[str] = Counter()
        for number in range(max(times // 100, len(requests))):
            async with peer(path) as one:
                await one.send(HELLO + requests[number % len(requests)])
                await one.until(lambda one=one: one.over or bool(one.heard))  # type: ignore[misc]
                heard.update(one.heard or [one.how])
        return said(heard)

    return attack


def blocks(*wrong: bytes) -> Attack:
    return each([frame(HEADERS, END_HEADERS, 1, one) + frame(DATA, END_STREAM, 1, _EMPTY) for one in wrong])


def _but(name: str, value: str) -> bytes:
    return block(*((key, value if key == name else kept) for key, kept in _GOOD))


def _timeouts(*values: str) -> Attack:
    return blocks(*(block(*_GOOD, ("grpc-timeout", value)) for value in values))


def _bodies(*bodies: bytes) -> Attack:
    return each(
        [
            frame(HEADERS, END_HEADERS, 1, headers(STATUS)) + frame(DATA, END_STREAM, 1, body)
            for body in bodies
        ]
    )


def streams(
    request: bytes, *, greeting: bytes = HELLO, flags: int = END_HEADERS, reads: bool = True
) -> Attack:
    """That much of a call, on stream after stream, whatever the server says of their number."""

    async def attack(path: Path, times: int) -> str:
        begun = 0
        async with peer(path, reads=reads) as one:
            await one.send(greeting)
            for stream in range(1, times, 2):
                if one.over:
                    break
                begun += 1
                await one.send(frame(HEADERS, flags, stream, headers(ENCRYPT)) + request_on(request, stream))
            return f"{one.how} after {begun:,}; {said(one.heard)}"

    return attack


def request_on(data: bytes, stream: int) -> bytes:
    return frame(DATA, END_STREAM, stream, data) if data else b""


async def many_blocks(path: Path, times: int) -> str:
    """Header blocks of ten kilobytes, no two alike, that fill HPACK's table as well."""
    dice = random.Random(12)  # noqa: S311
    async with peer(path) as one:
        await one.send(HELLO)
        for stream in range(1, max(times // 5, 50), 2):
            if one.over:
                break
            much = "".join(dice.choices(string.printable[:62], k=10_000))
            indexed = b"\x40" + block(("x-much", much))[1:]
            await one.send(frame(HEADERS, _WHOLE, stream, headers(STATUS) + indexed))
        return f"{one.how}; {said(one.heard)}"


async def half_bodies(path: Path, times: int) -> str:
    """All but the last byte of the largest message, from connection after connection, two bytes a frame."""
    crumbs = frame(DATA, 0, 1, b"\0\1") * 4000
    opening = frame(HEADERS, END_HEADERS, 1, headers(ENCRYPT)) + frame(DATA, 0, 1, message(b"", 60_000))
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(peer(path)) for _ in range(max(times // 40, 16))]
        for one in peers:
            await one.send(HELLO + opening)
            for _ in range(2):
                await one.send(crumbs)
        return _ends(peers)


async def idle(path: Path, times: int) -> str:
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(peer(path)) for _ in range(min(max(times // 10, 50), 1000))]
        for one in peers:
            await one.send(HELLO)
        return _ends(peers)


def _ends(peers: list[Peer]) -> str:
    return said(Counter(one.how for one in peers))


async def sipping(path: Path, times: int) -> str:
    """Calls on and on, and reads sixteen bytes a hundredth of a second."""
    async with peer(path, reads=False) as one:
        await one.send(HELLO)
        sips = asyncio.create_task(one.sip(_READING_SECONDS))
        sent = 0
        while sent < times and not one.over and not sips.done():
            await one.send(b"".join(call(2 * number + 1, STATUS) for number in range(sent, sent + 100)))
            sent += 100
        await sips
        return f"{one.how} after {sent:,}"


async def window_by_one(path: Path, times: int) -> str:
    """An answer a byte at a time."""
    async with peer(path) as one:
        await one.send(PREFACE + settings((INITIAL_WINDOW, 0)) + call(1, STATUS))
        given = 0
        while given < times and not one.over and not one.heard:
            await one.send(window(1, 1))
            given += 1
        return f"{said(one.heard) or one.how} after {given:,}"


def _table_sizes(*sizes: bytes) -> bytes:
    return b"".join(sizes) + headers(STATUS)


_BOMB = gzip.compress(bytes(15 << 20))
CALLS: dict[str, Attack] = {
    "upper case names": blocks(block(*_GOOD, ("X-Upper", "v"))),
    "pseudo-headers: unknown, twice, late, missing": blocks(
        block((":unknown", "v"), *_GOOD),
        block((":path", STATUS), *_GOOD),
        block(*GRPC, *PSEUDO, *_PATH),
        block(*PSEUDO, *GRPC),
        block(*_GOOD[1:]),
        block(),
    ),
    "headers of a connection": blocks(
        *(
            block(*_GOOD, pair)
            for pair in (("connection", "close"), ("transfer-encoding", "chunked"), ("te", "gzip"))
        )
    ),
    "values that are none": blocks(
        *(block(*_GOOD, ("x-value", value)) for value in ("a\nb", "a\rb", "a\0b", " a ", "\x7f", "\xff" * 9))
    ),
    "many small fields": blocks(block(*_GOOD, *[("a", "")] * 3000), block(*_GOOD, *[("x-small", "v")] * 800)),
    "HPACK garbage": blocks(b"\xff" * 60, b"\x80", b"\xbf", b"\x40\x85", b"\x00\xff\xff\xff\xff\xff\x0f"),
    "HPACK table sizes": blocks(
        _table_sizes(b"\x3f\xe1\x1f"),
        _table_sizes(*[b"\x20", b"\x3f\xe1\x1f"] * 500),
        _table_sizes(b"\x3f\xff\xff\xff\x7f"),
        headers(STATUS) + b"\x20",
    ),
    "1,000 header blocks of 10 kB": many_blocks,
    "content types": blocks(
        *(
            _but("content-type", value)
            for value in (
                "",
                "text/html",
                "application/grpcweb",
                "application/grpc-web",
                "application/json",
                "a" * 900,
            )
        )
    ),
    "paths": blocks(
        *(
            _but(":path", path)
            for path in ("/", "*", "", "/v2.KeyManagementService", f"{STATUS}/", "/" + "p" * 9000)
        )
    ),
    "methods": blocks(*(_but(":method", method) for method in ("GET", "PUT", "HEAD", "CONNECT", "post", ""))),
    "timeouts that are none": _timeouts(
        "", "S", "1", "-1S", "+1S", "1.5S", "1 S", "123456789S", "1s", "\xb2S"
    ),
    "timeouts of every unit": _timeouts("1H", "99999999M", "9S", "999m", "9999999u", "99999999n"),
    "deadline 0": _timeouts("0H", "0S", "0n", "00000000m"),
    "trailers from the client": each(
        [
            frame(HEADERS, END_HEADERS, 1, headers(STATUS))
            + frame(DATA, 0, 1, _EMPTY)
            + frame(HEADERS, flags, 1, late)
            for flags, late in (
                (_WHOLE, block(("x-late", "v"))),
                (_WHOLE, block((":path", ENCRYPT))),
                (_WHOLE, block(("x-late", "v" * 16_000))),
                (END_HEADERS, block(("x-late", "v"))),
            )
        ]
    ),
    "bodies: none, short, long, two, compressed": _bodies(
        b"",
        b"\0",
        message(b"", 9),
        message(b"12", 1),
        _EMPTY + _EMPTY,
        message(b"", compressed=1),
        message(b"", 1 << 31),
    ),
    "gzip bombs": _bodies(message(_BOMB, compressed=1), message(_BOMB)),
    "a message and no end": streams(b""),
    "beyond the streams": streams(_EMPTY, greeting=PREFACE + settings((INITIAL_WINDOW, 0))),
    "calls on and never reads": streams(_EMPTY, reads=False),
    "calls on and sips": sipping,
    "half bodies in crumbs": half_bodies,
    "window overflow": each([window(0, (1 << 31) - 1), settings((INITIAL_WINDOW, 1 << 31)), window(0, 0)]),
    "window by one": window_by_one,
    "idle connections": idle,
}
