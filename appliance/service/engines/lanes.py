"""The calls to one engine that may wait: so many at a time, the others in turn, bounded in all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.standing import Reason

T = TypeVar("T")


class Lanes:
    """One engine's own threads and its own queue: whoever waits for it takes no place of another's."""

    def __init__(self, engine: str, count: int, *, call_seconds: float, queue_size: int) -> None:
        self._threads = ThreadPoolExecutor(count, f"{engine}-lane")
        self._call_seconds = call_seconds
        self._queue_size = queue_size
        self.waiting = 0
        self._begun: set[Future[Any]] = set()
        self._closed = False
        # While it is away a call would only wait for what is known already.
        self.away: Reason | None = None

    async def call(self, work: Callable[[], T]) -> T:
        """*work* in its turn. Raises E-QUEUE-FULL, E-TOKEN-SLOW, why it is away, and what *work* does.

        A caller that goes away while it waits costs the engine nothing: its place is cancelled.
        """
        if self.away is not None:
            raise KleidiError(*self.away)
        if self.waiting >= self._queue_size:
            raise KleidiError(faults.QUEUE_FULL)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._call_seconds):
                begun = self._threads.submit(work)
                self._begun.add(begun)
                begun.add_done_callback(self._begun.discard)
                return await asyncio.wrap_future(begun)
        except TimeoutError:
            raise KleidiError(faults.TOKEN_SLOW) from None
        except asyncio.CancelledError:
            if self._closed:
                raise KleidiError(faults.TOKEN_LOST) from None
            raise
        finally:
            self.waiting -= 1

    async def idle(self) -> None:
        """Wait until no call is inside, be it one that nobody waits for any more."""
        while begun := list(self._begun):
            await asyncio.wait([asyncio.wrap_future(each) for each in begun])

    def close(self) -> None:
        """The calls that are under way end; those that wait are refused."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
