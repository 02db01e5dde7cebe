"""One Unix socket: bound in hiding, published by a rename, watched, and removed only while it is ours."""

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import socket
from pathlib import Path

import grpc
import grpc.aio

from appliance import faults
from appliance.endpoint import HIDDEN_NAME_SIZE
from appliance.faults import KleidiError
from appliance.volume import durable

# What the transport takes in; the services themselves refuse far less, in their own words (calls.py).
_LARGEST = 16 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", _LARGEST),
    ("grpc.max_metadata_size", 16 * 1024),
    # A caller with more calls than this keeps the rest in a queue of its own, inside their deadlines.
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.so_reuseport", 0),
]


class Listener:
    """A gRPC server on one path."""

    def __init__(self, path: Path, mode: int, gid: int | None, *handlers: grpc.GenericRpcHandler) -> None:
        self.path = path
        self._mode = mode
        self._gid = gid
        self._handlers = handlers
        self._server: grpc.aio.Server | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._inode: tuple[int, int] | None = None
        self._lock = -1

    async def open(self) -> None:
        """Raises E-SOCKET-IN-USE, with the other's socket untouched, or E-SOCKET-DIRECTORY."""
        directory = faults.SOCKET_DIRECTORY
        with durable.translated(directory, directory, directory):
            # A lock, because binding proves nothing: gRPC's core silently takes a path over (grpc#17122).
            self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise KleidiError(faults.SOCKET_IN_USE, str(self.path)) from error
            # The lock is no proof either: its directory may have been made anew, or the other is no kleidi.
            if _answers(self.path):
                raise KleidiError(faults.SOCKET_IN_USE, str(self.path))
            await self._publish()

    async def keep(self, seconds: float, grace: float) -> str:
        """Look after the path once, *seconds* from now: publish it again when it is gone or dead.

        Those who are connected are asked to dial again, by path; their calls in flight have *grace* to end.

        Returns "" when all is well, else who has taken the path.
        """
        await asyncio.sleep(seconds)
        if self._is_ours():
            return ""
        if _answers(self.path):
            return str(self.path)
        retired = self._server
        with durable.translated(*3 * [faults.SOCKET_DIRECTORY]):
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
        if self._server is not None:
            await asyncio.gather(self._server.stop(grace), *self._leaving)
        if self._lock >= 0:
            os.close(self._lock)

    async def _publish(self) -> None:
        hidden = self.path.with_name("." + secrets.token_hex(HIDDEN_NAME_SIZE)[: HIDDEN_NAME_SIZE - 1])
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers(self._handlers)
        try:
            self._bind(server, hidden)
            await server.start()
            status = hidden.stat()
            hidden.rename(self.path)
        except BaseException:
            await server.stop(None)
            with contextlib.suppress(OSError):
                hidden.unlink()
            raise
        self._server, self._inode = server, (status.st_dev, status.st_ino)

    def _bind(self, server: grpc.aio.Server, hidden: Path) -> None:
        mask = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{hidden}")
        except RuntimeError as error:
            raise KleidiError(faults.SOCKET_DIRECTORY, str(self.path.parent)) from error
        finally:
            os.umask(mask)
        if self._gid is not None:
            os.chown(hidden, -1, self._gid)
        hidden.chmod(self._mode)

    def _is_ours(self) -> bool:
        with contextlib.suppress(OSError):
            status = self.path.stat()
            return (status.st_dev, status.st_ino) == self._inode
        return False


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Never waits: the event loop runs this. A live program with a full queue says EAGAIN at once.
        probe.setblocking(False)
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)
