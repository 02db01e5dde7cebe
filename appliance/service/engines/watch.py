"""The watch over one remote engine: whether it is there, and each key the one it was.

On a thread of its own, never behind the calls. Every so often, at once when a call came to doubt it, and
every half second while it is away: then calls are refused with the reason and wait for nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.service.engines.lanes import Lanes
from appliance.service.engines.look import Look
from appliance.service.standing import Reason
from appliance.telemetry import NOBODY, Observer, Proved

# What it costs a server that is down is two requests a second; what it saves is a second of refused writes.
_AWAY_SECONDS = 0.5
# All keys and all warnings, beside the round trip of every probe.
_THOROUGH_SECONDS = 60.0

Tell = Callable[[Fault, str], None]


class EngineWatch:
    def __init__(  # noqa: PLR0913  what it looks at, how, and whom it tells
        self,
        engine: str,
        look: Callable[[bool], Look],
        lanes: Lanes,
        *,
        probe_seconds: float,
        patience_seconds: float,
        remark: Tell,
        withdraw: Callable[[Fault], None],
        observer: Observer = NOBODY,
    ) -> None:
        """*look* is told whether to be thorough; one that takes more than *patience_seconds* is told of."""
        self._engine = engine
        self._ask = look
        self._lanes = lanes
        self._probe_seconds = probe_seconds
        self._patience_seconds = patience_seconds
        self._remark, self._withdraw = remark, withdraw
        self._observer = observer
        self._thread = ThreadPoolExecutor(1, f"{engine}-watch")
        self.away_since = 0.0  # Unix seconds
        self._doubt = asyncio.Event()
        self._proved: dict[str, float] = {}
        self._off: Mapping[str, Reason] = {}
        self._warnings: Mapping[Fault, str] = {}
        self._told: frozenset[Fault] = frozenset()
        self._thorough_at = -_THOROUGH_SECONDS

    @property
    def away(self) -> Reason | None:
        """What calls get, if it is away."""
        return self._lanes.away

    @property
    def off(self) -> Mapping[str, Reason]:
        """The keys that it does not use any more, each with the reason."""
        return self._off

    def doubt(self, why: Reason | None = None) -> None:
        """A call failed in a way that may not be its own fault.

        *why* it was not answered is told at once: that call took as long as the look will take.
        """
        if why is not None and self._lanes.away is None:
            self._told |= {why[0]}
            self._remark(*why)
        self._doubt.set()

    def why_not(self, primary: str) -> Reason | None:
        """Why that *primary* key must not be announced; None once it was proved and while it is not off."""
        if primary in self._off:
            return self._off[primary]
        if primary in self._proved:
            return None
        return self._lanes.away or (faults.STARTING, "")

    def proved_at(self, primary: str) -> float:
        """When the last proof of that key began to count, by the monotonic clock."""
        return time.monotonic() if self._lanes.away else self._proved.get(primary, 0.0)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._doubt.clear()
            await self.look()
            troubled = self._lanes.away is not None or bool(self._off)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AWAY_SECONDS if troubled else self._probe_seconds):
                    # While it is away every call doubts it, which tells nothing new.
                    await (asyncio.Event() if troubled else self._doubt).wait()

    async def look(self) -> None:
        """Look once, and take what is seen; as long as the engine takes to answer, and at most to fail."""
        back = self._lanes.away is not None or bool(self._off)
        thorough = back or time.monotonic() - self._thorough_at >= _THOROUGH_SECONDS
        started = time.monotonic()
        looking = asyncio.get_running_loop().run_in_executor(self._thread, self._ask, thorough)
        done, _ = await asyncio.wait({looking}, timeout=self._patience_seconds)
        if not done:
            self._take(Look(away=(faults.ENGINE_SLOW, f"engine {self._engine}")))
        with contextlib.suppress(KleidiError):  # what it looked at was closed meanwhile
            seen = await asyncio.shield(looking)
            self._take(seen)
            self._tell_of_proof(seen, time.monotonic() - started)

    def _tell_of_proof(self, seen: Look, seconds: float) -> None:
        """Only of the primary key's engine: the others are not asked for a round trip."""
        if seen.proved:
            self._observer.observe(Proved(self._engine, seconds))
        elif seen.away:
            self._observer.observe(Proved(self._engine, seconds, seen.away[0]))

    def _take(self, look: Look) -> None:
        if look.away and not self._lanes.away:
            self.away_since = time.time()
        self._lanes.away = look.away
        now = time.monotonic()
        self._proved |= dict.fromkeys(look.proved, now)
        if look.away is None:
            kept = {} if look.thorough else {k: why for k, why in self._off.items() if k not in look.proved}
            self._off = {**kept, **look.off}
            if look.thorough:
                self._warnings, self._thorough_at = look.warnings, now
        told = {**self._warnings, **self._of_keys(), **dict([look.away] if look.away else [])}
        for fault in self._told - told.keys():
            self._withdraw(fault)
        for fault, detail in told.items():
            self._remark(fault, detail)
        self._told = frozenset(told)

    def _of_keys(self) -> dict[Fault, str]:
        """What is said of keys that do not open what they closed, by what became of them."""
        said: dict[Fault, list[str]] = {}
        for key_id, (fault, detail) in self._off.items():
            if fault is faults.KEY_UNREADABLE:
                said.setdefault(fault, []).append(key_id)
            else:
                why = KleidiError(fault, detail).brief
                said.setdefault(faults.KEY_SWITCHED_OFF, []).append(f"{key_id}: {why}")
        return {fault: "; ".join(each) for fault, each in said.items()}

    def close(self) -> None:
        """End the thread; to be called when run has ended."""
        for fault in self._told:
            self._withdraw(fault)
        self._thread.shutdown(wait=False, cancel_futures=True)
