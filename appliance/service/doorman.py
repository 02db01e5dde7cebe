"""The door in front of a socket for operators: asks the kernel who comes, and lets only its own in.

gRPC's core does not tell a caller's uid. So the path that is published is a plain socket of ours; who may
enter is carried, byte by byte, to the gRPC server on a socket behind it, in a directory that nobody else
can enter. The socket it is carried from is named after the caller, which is how that server knows whom it
serves (`caller`).
"""

import asyncio
import contextlib
import itertools
import logging
import os
import re
import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from appliance import faults
from appliance.logs import event
from appliance.private import unwritable
from appliance.service.binding import Bind, Bound, private
from appliance.service.sparing import Sparing
from appliance.volume import durable
from appliance.volume.mounts import is_mount_point

# struct ucred (unix(7)): pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")
_BEHIND = "behind"
_LEFT = re.compile(r"\..{6}\.d")
_PIECE_SIZE = 64 * 1024
_ROOT = 0
_TURNED_AWAY = "turned away from the admin socket"


@dataclass(frozen=True)
class Caller:
    """Who connected, as the kernel tells: the process id is 0 from outside of our own pid namespace."""

    uid: int
    pid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.pid}"

    @property
    def welcome(self) -> bool:
        return self.uid in (_ROOT, os.geteuid())


def guarded(bind: Bind) -> Bind:
    """Whatever *bind* makes, behind a door."""

    async def bind_door(path: Path) -> Bound:
        # Operators send PINs here: nobody else may put a socket in the place of ours. What is mounted for us
        # alone may be open to all, as an emptyDir is.
        if not is_mount_point(path.parent):
            unwritable(path.parent)
        room = path.with_name(f"{path.name}.d")
        # Killed ones could not remove theirs; the listener's lock says that nobody else is here.
        for name in durable.names(path.parent, faults.SOCKET_DIRECTORY):
            if _LEFT.fullmatch(name):
                shutil.rmtree(path.with_name(name), ignore_errors=True)
        room.mkdir(mode=0o700)
        door = Door(room)
        try:
            await door.open(path, bind)
        except BaseException:
            await door.stop(0)
            raise
        return door

    return bind_door


def caller(peer: str) -> str:
    """`uid:pid` of whom gRPC's *peer* stands for; "" when it did not come through a door."""
    name = peer.rpartition("/")[2].split("-")
    return f"{name[0]}:{name[1]}" if len(name) == 3 and all(map(str.isdigit, name)) else ""  # noqa: PLR2004


class Door:
    """One published socket and the one behind it, in *room*, a directory of its own."""

    def __init__(self, room: Path) -> None:
        self._room = room
        # By its descriptor: a path below a long one would not fit into a socket's 107 bytes.
        self._directory = os.open(room, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._inside = Path(f"/proc/self/fd/{self._directory}")
        self._behind: Bound | None = None
        self._front: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._sparing = Sparing()

    async def open(self, path: Path, bind: Bind) -> None:
        self._behind = await bind(self._inside / _BEHIND)
        front = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with private():
                front.bind(str(path))
            self._front = await asyncio.start_unix_server(self._attend, sock=front)
        except BaseException:
            front.close()
            raise

    async def stop(self, grace: float) -> None:
        if self._front is not None:
            self._front.close()
        if self._behind is not None:
            await self._behind.stop(grace)
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        shutil.rmtree(self._room, ignore_errors=True)
        os.close(self._directory)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitor = peer(writer.get_extra_info("socket"))
        if not visitor.welcome:
            if self._sparing.lets(logging.WARNING, _TURNED_AWAY):
                event(logging.WARNING, _TURNED_AWAY, uid=visitor.uid, pid=visitor.pid)
            writer.close()
            return
        visit = asyncio.current_task()
        if visit is not None:
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
        try:
            # Whoever hangs up, here or there, ends the visit; it is no fault of anybody's.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                behind = await self._dial(visitor)
                await asyncio.gather(_carry(reader, behind[1]), _carry(behind[0], writer))
        finally:
            writer.close()

    async def _dial(self, visitor: Caller) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = self._inside / f"{visitor.uid}-{visitor.pid}-{next(self._numbers)}"
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            dialled.setblocking(False)
            with private():
                dialled.bind(str(name))
            await asyncio.get_running_loop().sock_connect(dialled, str(self._inside / _BEHIND))
            # The other end keeps the name.
            name.unlink()
            return await asyncio.open_unix_connection(sock=dialled)
        except BaseException:
            dialled.close()
            raise


def peer(connection: socket.socket) -> Caller:
    """Who is at the other end: who dialled, or who listens."""
    pid, uid, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return Caller(uid, pid)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until *source* ends; then *sink* ends, too, and with it the way back."""
    try:
        while data := await source.read(_PIECE_SIZE):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()
