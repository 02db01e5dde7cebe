"""A service on a Unix socket: who is let in, and the end of all connections."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from appliance.service import limits
from appliance.service.rpc.calls import Service
from appliance.service.sockets import doorman
from appliance.service.sockets.binding import Bind, Bound, bound_socket
from appliance.service.transports.nghttp2 import limits as ours
from appliance.service.transports.nghttp2.call import Places
from appliance.service.transports.nghttp2.connection import Connection
from appliance.service.transports.nghttp2.session import Session


def speaks_nghttp2(service: Service, *, guarded: bool) -> Bind:
    async def bind(path: Path) -> Bound:
        if guarded:
            doorman.demand_own(path.parent)
        server = Server(service, doorman.Doorman() if guarded else None)
        await server.start(path)
        return server

    return bind


class Server:
    def __init__(self, service: Service, guard: doorman.Doorman | None) -> None:
        self.methods = {
            f"/{service.name}/{method}".encode(): answering for method, answering in service.methods.items()
        }
        # Calls that wait for something.
        self.waiting = 0
        self._message = service.message
        self._guard = guard
        self._arriving, self._leaving = Places(limits.ARRIVING), Places(ours.PENDING)
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._listening: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        front = bound_socket(path)
        try:
            self._listening = await asyncio.get_running_loop().create_unix_server(
                lambda: Connection(self), sock=front, backlog=limits.CONNECTIONS
            )
        except BaseException:
            front.close()
            raise

    def admit(self, connection: Connection, door: socket.socket) -> str | None:
        """Whom *connection* stands for, empty where nobody is asked; None for one that is turned away."""
        self._connections.add(connection)
        self._empty.clear()
        if len(self._connections) > limits.CONNECTIONS:
            return None
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ours.SEND_BUFFER)
        return self._guard.admitted(door) if self._guard else ""

    def session(self, caller: str, wake: Callable[[], None]) -> Session:
        return Session(caller, self._message, self._arriving, self._leaving, wake)

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def waits_no_more(self, _task: object) -> None:
        self.waiting -= 1

    async def stop(self, grace: float) -> None:
        if self._listening is not None:
            self._listening.close()
        for connection in [*self._connections]:
            connection.leave()
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            for connection in [*self._connections]:
                connection.abort()
            await self._empty.wait()
