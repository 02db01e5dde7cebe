"""One connection of an attacker: sends what it is told, and tells how the server took it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import hpack

from tests.http2 import (
    ACK,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADERS,
    PING,
    PREFACE,
    RESET,
    SETTINGS,
    SETTINGS_FRAME,
    frame,
)

HELLO: Final = PREFACE + SETTINGS
# A busy machine is no defect; who is silent for longer will not say anything.
PATIENCE_SECONDS: Final = 3.0
_ERRORS: Final = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
)  # fmt: skip


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, reads: bool) -> None:
        self._reader, self._writer, self._reads = reader, writer, reads
        self._listening: asyncio.Task[None] | None = None
        self._decoder = hpack.Decoder()
        self._moved = asyncio.Event()
        self.heard: Counter[str] = Counter()
        self.goodbye = ""
        self.closed = self.stuck = self.answered = False

    @property
    def over(self) -> bool:
        return self.closed or self.stuck or bool(self.goodbye)

    @property
    def how(self) -> str:
        """How it ended, in a word."""
        if self.goodbye:
            return f"goodbye {self.goodbye}"
        if self.stuck:
            return "not read from"
        return "closed" if self.closed else "served"

    async def send(self, data: bytes) -> None:
        """As far as the server takes it."""
        try:
            self._writer.write(data)
            # Not sooner: the first word is ours.
            if self._reads and self._listening is None:
                self._listening = asyncio.create_task(self._listen())
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            self.stuck = True
        except OSError:
            self.closed = True
        await asyncio.sleep(0)

    async def until(self, true: Callable[[], bool]) -> None:
        """Until that is so, the connection is over, or nothing more can be expected."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not true() and not self.closed:
                    self._moved.clear()
                    await self._moved.wait()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._writer.transport.abort()

    async def _listen(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                high, low, kind, flags, _ = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                self._take(kind, flags, await self._reader.readexactly((high << 16) + low))
                self._moved.set()
        self.closed = True
        self._moved.set()

    async def sip(self, seconds: float) -> None:
        """Read as slowly as one can."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                while await self._reader.read(16):  # noqa: ASYNC110  slow is what it is for
                    await asyncio.sleep(0.01)

    def _take(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SETTINGS_FRAME and not flags & ACK:
            self._writer.write(frame(SETTINGS_FRAME, ACK, 0))
        elif kind == PING:
            self.answered = payload == bytes(8)
        elif kind == GOAWAY:
            self.goodbye = _error(payload[4:8])
        elif kind == RESET:
            self.heard[f"reset {_error(payload)}"] += 1
        elif kind == HEADERS:
            given = {str(name): str(value) for name, value in self._decoder.decode(payload)}
            if flags & END_STREAM:
                code = given.get("grpc-status")
                self.heard[f"grpc {code}" if code else f"HTTP {given[':status']}"] += 1


def _error(code: bytes) -> str:
    number = int.from_bytes(code, "big")
    return _ERRORS[number] if number < len(_ERRORS) else str(number)


@contextlib.asynccontextmanager
async def peer(path: Path, *, reads: bool = True) -> AsyncIterator[Peer]:
    # A small buffer: who does not read must not have the kernel read for it.
    reader, writer = await _dialled(path)
    made = Peer(reader, writer, reads=reads)
    try:
        yield made
    finally:
        await made.close()


async def _dialled(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Again for a while, where nobody listens, as a client would."""
    async with asyncio.timeout(10 * PATIENCE_SECONDS):
        while True:
            try:
                return await asyncio.open_unix_connection(path, limit=4096)
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)


def said(counted: Counter[str]) -> str:
    return ", ".join(f"{count:,} of {what}" if count > 1 else what for what, count in counted.most_common(5))
