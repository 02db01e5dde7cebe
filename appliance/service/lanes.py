"""The calls to one engine that may wait: so many at a time, the others in turn, bounded in all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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
        self._waiting = 0
        # While it is away a call would only wait for what is known already.
        self.away: Reason | None = None

    async def call(self, work: Callable[[], T]) -> T:
        """*work* in its turn. Raises E-QUEUE-FULL, E-TOKEN-SLOW, why it is away, and what *work* does.

        A caller that goes away while it waits costs the engine nothing: its place is cancelled.
        """
        if self.away is not None:
            raise KleidiError(*self.away)
        if self._waiting >= self._queue_size:
            raise KleidiError(faults.QUEUE_FULL)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._call_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise KleidiError(faults.TOKEN_SLOW) from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
