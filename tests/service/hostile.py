"""A caller that keeps HTTP/2's letter and nothing else: calls by the hundred, none of them ever finished."""

import asyncio
import contextlib
import re
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import hpack

from tests.http2 import (
    ACK,
    DATA,
    DEFAULT_WINDOW,
    ENCRYPT,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    INITIAL_WINDOW,
    LARGEST_FRAME,
    PING,
    PREFACE,
    RESET,
    SETTINGS,
    SETTINGS_FRAME,
    WINDOW,
    frame,
    headers,
)

PATIENCE_SECONDS = 30.0
_FAULT = re.compile(r"E-[A-Z0-9-]+(?=:)")


class Hostile:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._window = self._initial = DEFAULT_WINDOW
        self._open: dict[int, int] = {}
        self._next = 1
        self._moved = asyncio.Event()
        self._decoder = hpack.Decoder()
        self.refusals: list[str] = []
        self.refused = 0
        self.closed = self._answered = False
        writer.write(PREFACE + SETTINGS)

    @property
    def under_way(self) -> int:
        """Calls that have not been refused."""
        return len(self._open)

    def call(self, count: int, announced: int, *metadata: tuple[str, str]) -> None:
        """Open *count* calls, each with a message of *announced* bytes to come."""
        block = headers(ENCRYPT, *metadata)
        for stream in range(self._next, self._next + 2 * count, 2):
            self._open[stream] = self._initial
            self._writer.write(frame(HEADERS, END_HEADERS, stream, block))
            self._send(stream, b"\x00" + announced.to_bytes(4, "big"))
        self._next += 2 * count

    async def pour(self, most: int) -> None:
        """Send *most* bytes to each open call, as far as the server's windows let us; until cancelled."""
        left = dict.fromkeys(self._open, most)
        while not self.closed:
            self._moved.clear()
            for stream, rest in list(left.items()):
                size = min(rest, self._open.get(stream, 0), self._window, LARGEST_FRAME)
                if size > 0:
                    self._send(stream, bytes(size))
                    left[stream] -= size
                    self._moved.set()
                if stream not in self._open or not left[stream]:
                    del left[stream]
            await self._writer.drain()
            await asyncio.sleep(0)
            await self._moved.wait()

    async def asked(self) -> None:
        """Until the server waits for the messages, of more bytes than it lets a call send unasked."""
        # Not by a PING: gRPC answers it before it looks at the calls, and hangs up on the third.
        await self._until(lambda: all(window > self._initial for window in self._open.values()))

    async def seen(self) -> None:
        """Until the server has seen all that was sent, where it takes one thing after the other."""
        self._writer.write(frame(PING, 0, 0, bytes(8)))
        await self._until(lambda: self._answered)

    async def until_refused(self, count: int) -> None:
        await self._until(lambda: self.refused >= count)

    async def listen(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                high, low, kind, flags, stream = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                self._take(kind, flags, stream, await self._reader.readexactly((high << 16) + low))
                self._moved.set()
        self.closed = True
        self._moved.set()

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not true():
                assert not self.closed, "the server hung up"
                self._moved.clear()
                await self._moved.wait()

    def _send(self, stream: int, data: bytes) -> None:
        self._writer.write(frame(DATA, 0, stream, data))
        self._window -= len(data)
        self._open[stream] -= len(data)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS_FRAME and not flags & ACK:
            self._adopt(payload)
            self._writer.write(frame(SETTINGS_FRAME, ACK, 0))
        elif kind == PING and flags & ACK:
            self._answered = True
        elif kind == PING:
            self._writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW and stream == 0:
            self._window += int.from_bytes(payload, "big")
        elif kind == WINDOW and stream in self._open:
            self._open[stream] += int.from_bytes(payload, "big")
        elif kind == HEADERS:
            for _name, value in self._decoder.decode(payload):
                self.refusals += _FAULT.findall(str(value))
        if kind == RESET or (kind == HEADERS and flags & END_STREAM):
            self.refused += self._open.pop(stream, None) is not None

    def _adopt(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HL", settings):
            if name == INITIAL_WINDOW:
                for stream in self._open:
                    self._open[stream] += value - self._initial
                self._initial = value


@contextlib.asynccontextmanager
async def hostile(path: Path) -> AsyncIterator[Hostile]:
    peer = Hostile(*await asyncio.open_unix_connection(path))
    listening = asyncio.create_task(peer.listen())
    try:
        yield peer
    finally:
        listening.cancel()
        # What it has still to say waits for a server that may not listen any more.
        peer._writer.transport.abort()  # noqa: SLF001
        await asyncio.gather(listening, return_exceptions=True)
