"""In front of a socket for operators: asks the kernel who connects, and admits only its own.

gRPC's core does not tell a caller's uid. So the path that is published is a plain socket of ours; who may
enter is carried, byte by byte, to the gRPC server on a socket behind it, in a directory that nobody else
can enter. The socket it is carried from is named after the caller, which is how that server knows whom it
serves (`caller_of`).
"""

import asyncio
import contextlib
import itertools
import os
import re
import shutil
from pathlib import Path

from appliance import faults
from appliance.service.sockets import doorman
from appliance.service.sockets.binding import Bind, Bound, bound_socket
from appliance.volume import durable

_BEHIND = "behind"
_LEFT = re.compile(r"\..{6}\.d")
_PIECE_SIZE = 64 * 1024


def guarded(bind: Bind) -> Bind:
    """Whatever *bind* makes, behind a check of who connects."""

    async def bind_guarded(path: Path) -> Bound:
        doorman.demand_own(path.parent)
        room = path.with_name(f"{path.name}.d")
        # Killed ones could not remove theirs; the listener's lock says that nobody else is here.
        for name in durable.names(path.parent, faults.SOCKET_DIRECTORY):
            if _LEFT.fullmatch(name):
                shutil.rmtree(path.with_name(name), ignore_errors=True)
        room.mkdir(mode=0o700)
        guarded = Guarded(room)
        try:
            await guarded.open(path, bind)
        except BaseException:
            await guarded.stop(0)
            raise
        return guarded

    return bind_guarded


def caller_of(peer: str) -> str:
    """`uid:pid` of whom gRPC's *peer* stands for; "" when it did not come this way."""
    name = peer.rpartition("/")[2].split("-")
    return f"{name[0]}:{name[1]}" if len(name) == 3 and all(map(str.isdigit, name)) else ""  # noqa: PLR2004


class Guarded:
    """One published socket and the one behind it, in *room*, a directory of its own."""

    def __init__(self, room: Path) -> None:
        self._room = room
        # By its descriptor: a path below a long one would not fit into a socket's 107 bytes.
        self._directory = os.open(room, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._inside = Path(f"/proc/self/fd/{self._directory}")
        self._behind: Bound | None = None
        self._front: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._doorman = doorman.Doorman()

    async def open(self, path: Path, bind: Bind) -> None:
        self._behind = await bind(self._inside / _BEHIND)
        front = bound_socket(path)
        try:
            self._front = await asyncio.start_unix_server(self._attend, sock=front)
        except BaseException:
            front.close()
            raise

    async def stop(self, grace: float) -> None:
        if self._front is not None:
            self._front.close()
        if self._behind is not None:
            await self._behind.stop(grace)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        shutil.rmtree(self._room, ignore_errors=True)
        os.close(self._directory)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = self._doorman.admitted(writer.get_extra_info("socket"))
        if caller is None:
            writer.close()
            return
        connection = asyncio.current_task()
        if connection is not None:
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)
        try:
            # Whoever hangs up, here or there, ends the connection; it is no fault of anybody's.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                behind = await self._dial(caller)
                await asyncio.gather(_carry(reader, behind[1]), _carry(behind[0], writer))
        finally:
            writer.close()

    async def _dial(self, caller: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = self._inside / f"{caller.replace(':', '-')}-{next(self._numbers)}"
        dialled = bound_socket(name)
        try:
            dialled.setblocking(False)
            await asyncio.get_running_loop().sock_connect(dialled, str(self._inside / _BEHIND))
            # The other end keeps the name.
            name.unlink()
            return await asyncio.open_unix_connection(sock=dialled)
        except BaseException:
            dialled.close()
            raise


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until *source* ends; then *sink* ends, too, and with it the way back."""
    try:
        while data := await source.read(_PIECE_SIZE):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()
