"""What can be bound to a path, and a gRPC server as one of them."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio

from appliance.service import limits


class Bound(Protocol):
    """Whatever answers at a path it was bound to."""

    async def stop(self, grace: float) -> None:
        """Take nobody new; let what is under way end within *grace* seconds."""


# Raises OSError when the path cannot be bound.
Bind = Callable[[Path], Awaitable[Bound]]


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Let a socket that is bound now be for its owner alone, from its first moment."""
    mask = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(mask)


class _Grpc:
    def __init__(self, largest: int, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server = grpc.aio.server(options=limits.options(largest))
        self._server.add_generic_rpc_handlers(handlers)

    async def start(self, path: Path) -> None:
        try:
            with private():
                self._server.add_insecure_port(f"unix:{path}")
            await self._server.start()
        except BaseException as error:  # a stop may come in the middle, and a server must never be dropped
            await self._server.stop(None)
            if isinstance(error, RuntimeError):
                raise OSError(str(error)) from error
            raise

    async def stop(self, grace: float) -> None:
        await self._server.stop(grace)


def speaks_grpc(*handlers: grpc.GenericRpcHandler, largest: int = limits.MESSAGE) -> Bind:
    """A server of these services, new for every path; messages have *largest* bytes at most."""

    async def bind(path: Path) -> Bound:
        server = _Grpc(largest, handlers)
        await server.start(path)
        return server

    return bind
