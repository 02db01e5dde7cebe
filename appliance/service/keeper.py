"""The keeper supervises what is open: opens it, proves it again and again, opens it anew when it is lost.

Opening and proving have a thread of their own, and so have the calls of each engine that waits (lanes) and
the watch over each remote one (engine_watch): a call waits for its own key's engine alone. How things stand
is told from a snapshot and never waits for anybody.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import AwayError, EngineError, OffError
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeyState
from appliance.logs import log
from appliance.service.engine_watch import EngineWatch
from appliance.service.lanes import Lanes
from appliance.service.opened import OpenToken
from appliance.service.standing import EngineStanding, Standing
from appliance.telemetry import Observer, Remarked, Stood, Switched, TokenOpened
from appliance.volume.opening import Opened
from appliance.volume.slot import Unwrapper

_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 2.0
# An operator waits for the answer; a thousand keys are proved within a second.
_SETTLE_SECONDS = 15.0
# The provisioner is at work beside us: a first boot must not wait for a slow retry.
_PASSING = (faults.PROVISIONING, faults.VOLUME_LOCKED, faults.STARTING)
_PROVISIONER_SECONDS = 5.0
# A proof counts for this many probe periods: one may fail to run, not two.
_PROOF_PERIODS = 3

T = TypeVar("T")

_NONE: Mapping[Fault, str] = MappingProxyType({})


class Keeper:
    def __init__(
        self,
        token: OpenToken,
        observer: Observer,
        *,
        call_seconds: float,
        queue_size: int,
        probe_seconds: float,
    ) -> None:
        self._token = token
        self._observer = observer
        self._call_seconds = call_seconds
        self._queue_size = queue_size
        self._probe_seconds = probe_seconds
        self._thread = ThreadPoolExecutor(1, "token")
        self._lanes: dict[str, Lanes] = {}
        self._watches: dict[str, EngineWatch] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._standing = Standing()
        self._proved_at = 0.0
        self._doubt = asyncio.Event()
        self._gate = asyncio.Event()
        self._gate.set()
        self._retry = asyncio.Event()
        self._remarks: dict[Fault, str] = {}
        # Of those, what was found when the volume was opened.
        self._found: set[Fault] = set()
        self._stuck: Exception | None = None

    def standing(self) -> Standing:
        """How things stand, at once."""
        standing = self._standing
        if not standing.serves or standing.keyset is None:
            return standing
        primary = standing.keyset.primary
        watch = self._watches.get(primary.engine)
        if watch and (why := watch.why_not(primary.id)):
            # Of a key that did not prove itself yet or is off, Status must not speak; others are served.
            fault, detail = why
            return replace(standing, reason=fault, detail=detail, held_back=True)
        proved_at = watch.proved_at(primary.id) if watch else self._proved_at
        if time.monotonic() - proved_at > _PROOF_PERIODS * self._probe_seconds:
            return replace(standing, reason=faults.PROBE_STALE)
        return standing.told(*self._remarks.items())

    def engines(self) -> list[EngineStanding]:
        """What holds the keys, the primary key's first; empty while nothing is open."""
        if not self._standing.serves or self._standing.keyset is None:
            return []
        alive = [key.engine for key in self._standing.keyset.keys if key.state is not KeyState.DESTROYED]
        found = []
        for name in self._token.lanes():
            watch, shut = self._watches.get(name), self._token.shut(name)
            away = (shut.fault, shut.detail) if shut else watch.away if watch else None
            since = int(watch.away_since) if watch and away else 0
            found.append(EngineStanding(name, watch is not None, alive.count(name), away, since))
        return found

    def remark(self, fault: Fault, detail: str = "") -> None:
        """Add something that somebody should look at, while calls go on."""
        was, new = self.standing().state, fault not in self._remarks
        self._remarks[fault] = detail
        if new:
            self._observer.observe(Remarked(fault, was, self.standing().state, detail))

    def withdraw(self, fault: Fault) -> None:
        was = self.standing().state
        if self._remarks.pop(fault, None) is not None:
            self._observer.observe(Remarked(fault, was, self.standing().state, over=True))

    async def call(self, work: Callable[[Keyring], T], key_id: str | None = None) -> T:
        """Do *work* with the keyring, at once or, where the key's engine waits, in its turn.

        *key_id* says which key's; None means the primary one's.
        """
        if not self._gate.is_set():
            await self._pass_gate()
        if not self._standing.serves:
            raise KleidiError(self._standing.reason or faults.STARTING)
        keyring = self._token.keyring
        engine = keyring.keyset.primary.engine if key_id is None else keyring.engine_of(key_id)
        if engine and (shut := self._token.shut(engine)):
            raise KleidiError(shut.fault, shut.detail)
        try:
            if lanes := self._lanes.get(engine):
                return await lanes.call(lambda: work(self._token.keyring))
            # The two thread switches would cost twice what the work itself costs (docs/adr/0004).
            return work(keyring)
        except (AwayError, OffError) as error:
            self._question(engine)
            raise KleidiError(error.fault, error.detail) from error
        except EngineError as error:
            self._question(engine)
            raise KleidiError(faults.TOKEN_LOST, str(error)) from error
        except KleidiError as error:
            if error.fault is faults.TOKEN_SLOW and engine in self._watches:
                self._question(engine)
            raise

    def _question(self, engine: str) -> None:
        """Look at once whether *engine* is what it was: a call came to doubt it."""
        watch = self._watches.get(engine)
        if watch:
            watch.doubt()
        else:
            self._doubt.set()

    async def _pass_gate(self) -> None:
        try:
            await asyncio.wait_for(self._gate.wait(), self._call_seconds)
        except TimeoutError:
            raise KleidiError(faults.TOKEN_SLOW) from None

    def opened(self) -> Opened:
        """What is being served from; raises the reason when nothing is."""
        if not self._standing.serves:
            raise KleidiError(self._standing.reason or faults.STARTING, self._standing.detail)
        return self._token.opened

    async def unseal(self, opener: Unwrapper) -> None:
        """Open with *opener* what is sealed; raises the reason why it does not."""
        if not self._standing.serves:
            await self._on_thread(lambda: self._token.admit(opener))
            await self.settle()

    async def settle(self) -> None:
        """Try at once what would be tried soon, and come back when it serves or a little later."""
        self._retry.set()
        deadline = time.monotonic() + _SETTLE_SECONDS
        # No event: what is waited for is a state, and it may never come.
        while not self._standing.serves and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_FIRST_RETRY_SECONDS)

    async def switch(self) -> None:
        """Go over to a newer generation if there is one. Calls wait meanwhile, none is refused.

        Raises KleidiError when what is there cannot be gone over to: then all is served as before.
        """
        if not self._standing.serves:
            return
        opened = await self._on_thread(self._token.ahead)
        if opened is None:
            return
        self._gate.clear()
        started = time.monotonic()
        try:
            await self._leave_alone()
            standing = await self._on_thread(lambda: self._token.switch(opened))
        except Exception as error:
            # Neither here nor there: nothing is told or done by halves until all is opened anew.
            self._stand(Standing(faults.TOKEN_LOST))
            self._stuck = error
            self._doubt.set()
            raise
        else:
            self._proved_at = time.monotonic()
            self._follow_engines()
            if watch := self._watches.get(opened.keyset.primary.engine):
                await watch.look()  # what is announced next was proved, here and now
            self._stand(standing, self._token.warnings())
            self._observer.observe(Switched(standing.generation, self._proved_at - started))
        finally:
            self._gate.set()

    def revise(self, opened: Opened) -> None:
        self._token.revise(opened)

    async def run(self) -> None:
        """Open, watch, open again: until cancelled."""
        try:
            await self._run()
        finally:
            await asyncio.shield(self._on_thread(self._token.leave))

    async def _run(self) -> None:
        delay, begun = _FIRST_RETRY_SECONDS, time.monotonic()
        while True:
            try:
                await self._open()
                delay = _FIRST_RETRY_SECONDS
                await self._watch()
            except KleidiError as error:
                held = error.fault is faults.VOLUME_LOCKED
                if held and time.monotonic() - begun < _PROVISIONER_SECONDS:
                    # At a first boot the provisioner has it for a moment, and all is well.
                    self._stand(Standing(faults.STARTING, error.detail))
                else:
                    lineage, generation = await self._on_thread(self._token.labelled)
                    standing = Standing(error.fault, error.detail, generation=generation, lineage=lineage)
                    self._stand(standing)
            except Exception:  # noqa: BLE001  whatever it was, trying again may help and dying does not
                log.exception("the token could not be opened")
                self._stand(Standing(faults.INTERNAL))
            finally:
                await self._leave_engines()
                await asyncio.shield(self._on_thread(self._token.close))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._retry.wait(), delay)
            self._retry.clear()
            passing = self._standing.reason in _PASSING
            delay = _FIRST_RETRY_SECONDS if passing else min(delay * 1.5, _LAST_RETRY_SECONDS)

    def close(self) -> None:
        """End the thread; to be called when run has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _open(self) -> None:
        started = time.monotonic()
        standing = await self._on_thread(self._token.open)
        warnings = await self._on_thread(self._token.warnings)
        self._proved_at = time.monotonic()
        self._follow_engines()
        self._observer.observe(TokenOpened(self._proved_at - started))
        self._stand(standing, warnings)
        self._tell_of_shut()

    async def _watch(self) -> None:
        """Prove the token now and then, and at once when a call came to doubt it."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._doubt.wait(), self._probe_seconds)
            self._doubt.clear()
            if self._stuck is not None:
                stuck, self._stuck = self._stuck, None
                raise stuck
            await self._on_thread(self._token.prove)
            await self._on_thread(self._token.tend)
            self._proved_at = time.monotonic()
            self._tell_of_shut()

    def _follow_engines(self) -> None:
        """Lanes for every engine that waits, and a watch over every remote one, as what is open has them.

        None is left behind before all is closed: calls may still be in it.
        """
        for name, count in self._token.lanes().items():
            if count and name not in self._lanes:
                self._lanes[name] = Lanes(
                    name, count, call_seconds=self._call_seconds, queue_size=self._queue_size
                )
        for name in self._token.remote():
            if name not in self._watches:
                watch = EngineWatch(
                    name,
                    partial(self._token.look, name),
                    self._lanes[name],
                    probe_seconds=self._probe_seconds,
                    patience_seconds=2 * self._call_seconds,
                    remark=self.remark,
                    withdraw=self.withdraw,
                )
                self._watches[name] = watch
                self._watching[name] = asyncio.create_task(watch.run())

    async def _leave_alone(self) -> None:
        """Wait until no call is inside of what is in the seal: it may be closed and opened anew."""
        for name, lanes in self._lanes.items():
            if name not in self._watches:
                await lanes.idle()

    async def _leave_engines(self) -> None:
        for task in self._watching.values():
            task.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)
        for watch in self._watches.values():
            watch.close()
        for lanes in self._lanes.values():
            lanes.close()
        self._watching, self._watches, self._lanes = {}, {}, {}

    def _tell_of_shut(self) -> None:
        if shuts := self._token.shuts:
            self.remark(faults.ENGINE_SHUT, shuts)
        else:
            self.withdraw(faults.ENGINE_SHUT)

    async def _on_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _stand(self, standing: Standing, warnings: Mapping[Fault, str] = _NONE) -> None:
        was, before = self.standing().state, self._standing
        self._standing = standing
        if standing != before:
            key_id = standing.keyset.primary.id if standing.keyset else ""
            now = self.standing().state
            self._observer.observe(Stood(was, now, standing.reason, standing.detail, key_id))
        for fault in self._found - warnings.keys():
            self.withdraw(fault)
        for fault, detail in warnings.items():
            self.remark(fault, detail)
        self._found = set(warnings)
