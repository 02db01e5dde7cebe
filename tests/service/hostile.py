"""A caller that keeps HTTP/2's letter and nothing else: calls by the hundred, none of them ever finished."""

import asyncio
import contextlib
import re
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_SECONDS = 30.0
# RFC 9113, 6: frames, flags, settings.
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW = 0, 1, 3, 4, 6, 8
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW = 4
_DEFAULT_WINDOW = 65_535
_LARGEST_FRAME = 16_384
_HEAD = struct.Struct(">BHBBL")
_FAULT = re.compile(r"E-[A-Z0-9-]+(?=:)")
ENCRYPT = "/v2.KeyManagementService/Encrypt"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return _HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


SETTINGS = frame(_SETTINGS, 0, 0)


def headers(path: str, *more: tuple[str, str]) -> bytes:
    """HPACK without a table: POST, http, and literals (RFC 7541, 6.2.2)."""
    pairs = [("te", "trailers"), ("content-type", "application/grpc"), *more]
    literals = b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs)
    return b"\x83\x86\x04" + _text(path) + b"\x01" + _text("localhost") + literals


def _text(text: str) -> bytes:
    length = len(text)
    if length < 127:
        return bytes([length]) + text.encode()
    size, length = b"\x7f", length - 127
    while length >= 128:
        size += bytes([length % 128 + 128])
        length //= 128
    return size + bytes([length]) + text.encode()


class Hostile:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._window = self._initial = _DEFAULT_WINDOW
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
            self._writer.write(frame(_HEADERS, _END_HEADERS, stream, block))
            self._send(stream, b"\x00" + announced.to_bytes(4, "big"))
        self._next += 2 * count

    async def pour(self, most: int) -> None:
        """Send *most* bytes to each open call, as far as the server's windows let us; until cancelled."""
        left = dict.fromkeys(self._open, most)
        while not self.closed:
            self._moved.clear()
            for stream, rest in list(left.items()):
                size = min(rest, self._open.get(stream, 0), self._window, _LARGEST_FRAME)
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
        self._writer.write(frame(_PING, 0, 0, bytes(8)))
        await self._until(lambda: self._answered)

    async def until_refused(self, count: int) -> None:
        await self._until(lambda: self.refused >= count)

    async def listen(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                high, low, kind, flags, stream = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
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
        self._writer.write(frame(_DATA, 0, stream, data))
        self._window -= len(data)
        self._open[stream] -= len(data)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._adopt(payload)
            self._writer.write(frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and flags & _ACK:
            self._answered = True
        elif kind == _PING:
            self._writer.write(frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(payload, "big")
        elif kind == _WINDOW and stream in self._open:
            self._open[stream] += int.from_bytes(payload, "big")
        elif kind == _HEADERS:
            for _name, value in self._decoder.decode(payload):
                self.refusals += _FAULT.findall(str(value))
        if kind == _RESET or (kind == _HEADERS and flags & _END_STREAM):
            self.refused += self._open.pop(stream, None) is not None

    def _adopt(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HL", settings):
            if name == _INITIAL_WINDOW:
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
        peer._writer.close()  # noqa: SLF001
        await asyncio.gather(listening, return_exceptions=True)
