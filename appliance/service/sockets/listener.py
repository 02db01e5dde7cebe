"""One Unix socket: bound in hiding, published by a rename, watched, and removed only while it is ours."""

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from appliance import faults, holder, supervised
from appliance.endpoint import HIDDEN_NAME_SIZE
from appliance.faults import KleidiError
from appliance.peer import peer
from appliance.service.sockets.binding import Bind, Bound
from appliance.volume import durable

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO)


class Listener:
    """Keeps one path; what answers there is made by *bind*, again each time the path is published."""

    def __init__(self, path: Path, mode: int, gid: int | None, bind: Bind) -> None:
        self.path = path
        self._mode = mode
        self._gid = gid
        self._bind = bind
        self._bound: Bound | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._inode: tuple[int, int] | None = None
        self._lock = -1

    def __str__(self) -> str:
        return str(self.path)

    async def open(self) -> None:
        """Raises E-SOCKET-IN-USE, the other's socket untouched.

        Where the node is not ready for us, E-SOCKET-DIRECTORY, -OWNER or -GROUP; then try again.
        """
        try:
            self._claim()
            await self._publish()
        except BaseException:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1
            raise

    def _claim(self) -> None:
        # A lock, because binding proves nothing: gRPC's core silently takes a path over (grpc#17122).
        lock = self.path.with_name(f"{self.path.name}.lock")
        with _in_place_of(lock):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._lock = os.open(lock, flags, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KleidiError(faults.SOCKET_IN_USE, self._held(holder.of_lock(self._lock))) from error
        # The lock is no proof either: its directory may have been made anew, or the other is no kleidi.
        if _answers(self.path):
            raise KleidiError(faults.SOCKET_IN_USE, self._held())

    def _held(self, locked: str = "") -> str:
        """Where, and by whom as far as the kernel tells."""
        return ", ".join(filter(None, (str(self.path), locked or holder.of_socket(self.path))))

    async def keep(self, seconds: float, grace: float) -> str:
        """Look after the path once, *seconds* from now: publish it again when it is gone or dead.

        Those who are connected are asked to dial again, by path; their calls in flight have *grace* to end.

        Returns "" when all is well, else who has taken the path.
        """
        await asyncio.sleep(seconds)
        if self._is_ours() and not _deserted(self.path):
            return ""
        if _answers(self.path):
            return str(self.path)
        retired = self._bound
        await self._publish()
        if retired is not None:
            leaving = asyncio.create_task(retired.stop(grace))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        return ""

    async def close(self, grace: float) -> None:
        """Let calls in flight end within *grace* seconds. The path disappears first."""
        if self._is_ours():
            self.path.unlink()
        if self._bound is not None:
            await asyncio.gather(self._bound.stop(grace), *self._leaving)
        if self._lock >= 0:
            os.close(self._lock)

    async def _publish(self) -> None:
        hidden = self.path.with_name("." + secrets.token_hex(HIDDEN_NAME_SIZE)[: HIDDEN_NAME_SIZE - 1])
        with durable.translated_as(faults.SOCKET_DIRECTORY), _removed_unless_done(hidden):
            bound = await self._bind(hidden)
            try:
                if self._gid is not None:
                    _give(hidden, self._gid)
                hidden.chmod(self._mode)
                status = hidden.stat()
                with _in_place_of(self.path):
                    hidden.rename(self.path)
            except BaseException:
                await bound.stop(0)
                raise
        self._bound, self._inode = bound, (status.st_dev, status.st_ino)

    def _is_ours(self) -> bool:
        with contextlib.suppress(OSError):
            status = self.path.stat()
            return (status.st_dev, status.st_ino) == self._inode
        return False


def _give(path: Path, gid: int) -> None:
    try:
        os.chown(path, -1, gid)
    except OSError as error:
        # A member needs no capability for it, anybody else CAP_CHOWN, which the shipped pod has not.
        detail = f"KLEIDI_SOCKET_GROUP={gid}, and the groups of this process are {sorted(os.getgroups())}"
        raise KleidiError(faults.SOCKET_GROUP, detail) from error


@contextlib.contextmanager
def _in_place_of(path: Path) -> Iterator[None]:
    """Tell a directory that is not ours from something in it that is not: a link, another user's file."""
    try:
        yield
    except OSError as error:
        occupied = error.errno in _NOT_OURS and os.path.lexists(path)
        fault = faults.SOCKET_OWNER if occupied else faults.SOCKET_DIRECTORY
        raise KleidiError(fault, f"{error.strerror}: {path}") from error


@contextlib.contextmanager
def _removed_unless_done(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _deserted(path: Path) -> bool:
    """The socket is there, and nobody behind it.

    So does grpc.aio leave it when it gives up: one call of a method whose name is no UTF-8 is enough.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED


def _answers(path: Path) -> bool:
    """Somebody else; our own supervisor only keeps the place for us (waiting_room.py)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Never waits: the event loop runs this. A live program with a full queue says EAGAIN at once.
        probe.setblocking(False)
        found = probe.connect_ex(str(path))
        return found == errno.EAGAIN or (found == 0 and not supervised.started_us(peer(probe).pid))
