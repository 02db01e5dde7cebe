"""How many requests may be on their way in at once: beyond that, the one that takes longest makes room.

gRPC gives each request that somebody waits for the room that it announces. One that was sent is here within
a few turns of the event loop, so only those that are never finished stand at the end of the row: nobody waits
for a place, and a crowd of half-sent requests locks nobody out.
"""

import asyncio
from typing import Any

import grpc.aio

from appliance import faults
from appliance.faults import KleidiError

_Context = grpc.aio.ServicerContext[Any, Any]


class Intake:
    """Room for *most* requests."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._arriving: dict[asyncio.Timeout, None] = {}

    async def take(self, context: _Context) -> bytes:
        """The one message of a call, once all of it is here."""
        if len(self._arriving) >= self._most:
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            oldest.reschedule(0)
        place = asyncio.timeout(None)
        try:
            async with place:
                self._arriving[place] = None
                data = await context.read()
        except TimeoutError:
            raise KleidiError(faults.REQUEST_UNFINISHED) from None
        finally:
            self._arriving.pop(place, None)
        if not isinstance(data, bytes):  # grpc.aio.EOF
            raise KleidiError(faults.REQUEST_INVALID, "no message")
        return data
