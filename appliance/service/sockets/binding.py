"""What can be bound to a path, and a gRPC server as one of them."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio

# What the transport takes in of one message: twice what KMS takes, so that nearly every refusal is in our own
# words (calls.py). Times streams and connections it is what callers can make us hold, in a pod of 384 MiB.
LARGEST = 256 * 1024
# Valid calls that wait until the event loop comes to them. gRPC's own thousand, refused at random before it
# is reached, is less than two connections may bring; beyond this one it says CANCELLED, in no words of ours.
_WAITING = 16 * 1024
_OPTIONS = [
    # The API server never compresses, and a kilobyte may unpack to a megabyte: it is read as it came.
    ("grpc.per_message_decompression", 0),
    ("grpc.max_metadata_size", 16 * 1024),
    # A caller with more calls than this keeps the rest in a queue of its own, inside their deadlines.
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.server.max_pending_requests", _WAITING),
    ("grpc.server.max_pending_requests_hard_limit", _WAITING),
    ("grpc.max_allowed_incoming_connections", 1088),
    ("grpc.so_reuseport", 0),
]


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
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", largest), *_OPTIONS])
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


def speaks_grpc(*handlers: grpc.GenericRpcHandler, largest: int = LARGEST) -> Bind:
    """A server of these services, new for every path; messages have *largest* bytes at most."""

    async def bind(path: Path) -> Bound:
        server = _Grpc(largest, handlers)
        await server.start(path)
        return server

    return bind
