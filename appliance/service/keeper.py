"""The keeper supervises what is open: opens it, proves it again and again, opens it anew when it is lost.

Opening and proving have a thread of their own; which way a call takes, the engines in use know
(engines/in_use.py): it waits for its own key's engine alone. How things stand is told from a snapshot and
never waits for anybody.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeySet
from appliance.logs import log
from appliance.service.engines.in_use import EnginesInUse
from appliance.service.opened import OpenToken
from appliance.service.standing import EngineStanding, Standing
from appliance.telemetry import Observer, Proved, Remarked, Stood, Switched, TokenOpened
from appliance.volume.audit import Head
from appliance.volume.opening import Opened
from appliance.volume.seal import SealedError
from appliance.volume.slot import Unwrapper

_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 2.0
# An operator waits for the answer; a thousand keys are proved within a second.
_SETTLE_SECONDS = 15.0
# The provisioner is at work beside us: a first boot must not wait for a slow retry.
_PASSING = (faults.PROVISIONING, faults.VOLUME_LOCKED, faults.STARTING)
_PROVISIONER_SECONDS = 5.0
_BESIDE_PROVISIONER_SECONDS = 0.03
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
        self._probe_seconds = probe_seconds
        self._thread = ThreadPoolExecutor(1, "token")
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
        self._engines = EnginesInUse(
            token,
            call_seconds=call_seconds,
            queue_size=queue_size,
            probe_seconds=probe_seconds,
            remark=self.remark,
            withdraw=self.withdraw,
            doubt=self._doubt.set,
            observer=observer,
        )
        self._at_gate = 0

    def standing(self) -> Standing:
        """How things stand, at once."""
        standing = self._standing
        if not standing.serves or standing.keyset is None:
            return standing
        if why := self._engines.why_not(standing.keyset):
            # Of a key that did not prove itself yet or is off, Status must not speak; others are served.
            fault, detail = why
            return replace(standing, reason=fault, detail=detail, held_back=True)
        if self._proof_age(standing.keyset) > _PROOF_PERIODS * self._probe_seconds:
            return replace(standing, reason=faults.PROBE_STALE)
        return standing.told(*self._remarks.items())

    def proved_ago(self) -> float | None:
        """Seconds since the primary key's last round trip; None while nothing is open."""
        standing = self._standing
        return self._proof_age(standing.keyset) if standing.serves and standing.keyset else None

    def _proof_age(self, keyset: KeySet) -> float:
        return time.monotonic() - (self._engines.proved_at(keyset) or self._proved_at)

    def engines(self) -> list[EngineStanding]:
        """What holds the keys, the primary key's first; empty while nothing is open."""
        if not self._standing.serves or self._standing.keyset is None:
            return []
        return self._engines.standings(self._standing.keyset)

    def waiting(self) -> int:
        """The calls that wait for an engine, or for a switch to be over."""
        return self._at_gate + self._engines.waiting()

    def unusable(self) -> frozenset[str]:
        """The ids of keys that should decrypt and do not; of an engine that is away nothing is known."""
        return self._engines.unusable() if self._standing.serves else frozenset()

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
        return await self._engines.call(work, key_id)

    async def _pass_gate(self) -> None:
        await asyncio.sleep(0)  # it waits: rpc/calls.py, Answering
        self._at_gate += 1
        try:
            await asyncio.wait_for(self._gate.wait(), self._call_seconds)
        except TimeoutError:
            raise KleidiError(faults.TOKEN_SLOW) from None
        finally:
            self._at_gate -= 1

    def opened(self) -> Opened:
        """What is being served from; raises the reason when nothing is."""
        if not self._standing.serves:
            raise KleidiError(self._standing.reason or faults.STARTING, self._standing.detail)
        return self._token.opened

    def sealed_head(self) -> Head | None:
        """The audit log's last entry as the open seal knows it; None while it knows none or is shut."""
        return self._token.opened.payload.audit if self._standing.serves else None

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
        await self._on_thread(lambda: self._token.prepare(opened))
        self._gate.clear()
        started = time.monotonic()
        try:
            await self._engines.leave_alone()
            standing = await self._on_thread(lambda: self._token.switch(opened))
        except Exception as error:
            # Neither here nor there: nothing is told or done by halves until all is opened anew.
            self._stand(Standing(faults.TOKEN_LOST))
            self._stuck = error
            self._doubt.set()
            raise
        else:
            self._proved_at = time.monotonic()
            await self._engines.follow()
            await self._engines.look(opened.keyset)
            self._stand(standing, self._token.warnings())
            self._observer.observe(Switched(standing.generation, self._proved_at - started))
            self._tell_of_proof()
        finally:
            self._gate.set()
        await self._on_thread(self._token.tidy)

    def revise(self, opened: Opened) -> None:
        self._token.revise(opened)

    async def run(self) -> None:
        """Open, watch, open again: until cancelled."""
        try:
            await self._run()
        finally:
            await asyncio.shield(self._engines.leave())
            await asyncio.shield(self._on_thread(self._token.leave))

    async def _run(self) -> None:
        delay, begun = _BESIDE_PROVISIONER_SECONDS, time.monotonic()
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
                    sealed = isinstance(error, SealedError)
                    self._stand(
                        Standing(
                            error.fault, error.detail, generation=generation, lineage=lineage, sealed=sealed
                        )
                    )
            except Exception:  # noqa: BLE001  whatever it was, trying again may help and dying does not
                log.exception("the token could not be opened")
                self._stand(Standing(faults.INTERNAL))
            finally:
                await asyncio.shield(self._on_thread(self._token.close))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._retry.wait(), delay)
            self._retry.clear()
            if self._standing.reason not in _PASSING:
                delay = min(max(delay, _FIRST_RETRY_SECONDS) * 1.5, _LAST_RETRY_SECONDS)
            else:
                beside = time.monotonic() - begun < _PROVISIONER_SECONDS
                delay = _BESIDE_PROVISIONER_SECONDS if beside else _FIRST_RETRY_SECONDS

    def close(self) -> None:
        """End the thread; to be called when run has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _open(self) -> None:
        started = time.monotonic()
        standing = await self._on_thread(self._token.open)
        warnings = await self._on_thread(self._token.warnings)
        self._proved_at = time.monotonic()
        await self._engines.follow()
        self._observer.observe(TokenOpened(self._proved_at - started))
        self._stand(standing, warnings)
        self._tell_of_proof()
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
            started = time.monotonic()
            try:
                await self._on_thread(self._token.prove)
            except KleidiError as error:
                self._tell_of_proof(fault=error.fault)
                raise
            self._tell_of_proof(time.monotonic() - started)
            await self._on_thread(self._token.tend)
            self._proved_at = time.monotonic()
            self._tell_of_shut()

    def _tell_of_proof(self, seconds: float = 0.0, fault: Fault | None = None) -> None:
        """Of an engine in the seal: a remote one's watch tells of its own."""
        keyset = self._standing.keyset
        if keyset is not None and keyset.primary.engine not in self._token.remote():
            self._observer.observe(Proved(keyset.primary.engine, seconds, fault))

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
