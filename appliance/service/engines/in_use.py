"""The engines in use: lanes for each that waits, a watch over each remote one, and which call goes where."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import AwayError, EngineError, OffError
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeySet, KeyState
from appliance.service.engines.lanes import Lanes
from appliance.service.engines.watch import EngineWatch
from appliance.service.opened import OpenToken
from appliance.service.standing import EngineStanding, Reason
from appliance.telemetry import NOBODY, Observer

T = TypeVar("T")


class EnginesInUse:
    """They outlive an opening of the token: its trouble is not another engine's."""

    def __init__(  # noqa: PLR0913  what is open, its bounds, and whom it tells
        self,
        token: OpenToken,
        *,
        call_seconds: float,
        queue_size: int,
        probe_seconds: float,
        remark: Callable[[Fault, str], None],
        withdraw: Callable[[Fault], None],
        doubt: Callable[[], None],
        observer: Observer = NOBODY,
    ) -> None:
        """*doubt* is told when a call came to doubt what is in the seal."""
        self._token = token
        self._call_seconds = call_seconds
        self._queue_size = queue_size
        self._probe_seconds = probe_seconds
        self._remark, self._withdraw, self._doubt = remark, withdraw, doubt
        self._observer = observer
        self._lanes: dict[str, Lanes] = {}
        self._watches: dict[str, EngineWatch] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def call(self, work: Callable[[Keyring], T], key_id: str | None) -> T:
        """*work* with the keyring, at once or in its turn; raises KleidiError."""
        keyring = self._token.keyring
        engine = keyring.keyset.primary.engine if key_id is None else keyring.engine_of(key_id)
        if shut := self._token.shut(engine):
            raise KleidiError(shut.fault, shut.detail)
        try:
            if lanes := self._lanes.get(engine):
                await asyncio.sleep(0)  # it waits: rpc/calls.py, Answering
                return await lanes.call(lambda: work(self._token.keyring))
            # The two thread switches would cost twice what the work itself costs (docs/adr/0004).
            return work(keyring)
        except (AwayError, OffError) as error:
            self._question(engine, error.reason if isinstance(error, AwayError) else None)
            raise KleidiError(*error.reason) from error
        except EngineError as error:
            self._question(engine)
            raise KleidiError(faults.TOKEN_LOST, str(error)) from error
        except KleidiError as error:
            if error.fault is faults.TOKEN_SLOW and engine in self._watches:
                self._question(engine)
            raise

    def why_not(self, keyset: KeySet) -> Reason | None:
        """Why the primary key must not be announced, where a remote engine has it."""
        watch = self._watches.get(keyset.primary.engine)
        return watch.why_not(keyset.primary.id) if watch else None

    def proved_at(self, keyset: KeySet) -> float | None:
        """When a remote engine's primary key proved itself last, monotonic; None for another engine's."""
        watch = self._watches.get(keyset.primary.engine)
        return watch.proved_at(keyset.primary.id) if watch else None

    def standings(self, keyset: KeySet) -> list[EngineStanding]:
        """Each engine, the primary key's first."""
        alive = [key.engine for key in keyset.keys if key.state is not KeyState.DESTROYED]
        found = []
        for name in self._token.lanes():
            watch, shut = self._watches.get(name), self._token.shut(name)
            away = (shut.fault, shut.detail) if shut else watch.away if watch else None
            since = int(watch.away_since) if watch and away else 0
            used_from = self._token.used_from() if name == keyset.primary.engine else ""
            waiting = self._lanes[name].waiting if name in self._lanes else 0
            found.append(
                EngineStanding(name, watch is not None, alive.count(name), away, since, used_from, waiting)
            )
        return found

    def waiting(self) -> int:
        """The calls that wait for any of them."""
        return sum(lanes.waiting for lanes in self._lanes.values())

    def unusable(self) -> frozenset[str]:
        """The keys that should decrypt and do not: not as they were, switched off, or of one that is shut."""
        try:
            keyring = self._token.keyring
        except KleidiError:
            return frozenset()
        alive = [key for key in keyring.keyset.keys if key.state.decrypts]
        shut = {key.id for key in alive if self._token.shut(key.engine)}
        off = {key_id for watch in self._watches.values() for key_id in watch.off}
        return keyring.unreadable | shut | off

    async def follow(self) -> None:
        """Be as what is open has them now."""
        for name, count in self._token.lanes().items():
            if count and name not in self._lanes:
                self._lanes[name] = Lanes(
                    name, count, call_seconds=self._call_seconds, queue_size=self._queue_size
                )
        remote = self._token.remote()
        for name in remote:
            if name not in self._watches:
                self._begin(name)
        for name in self._watches.keys() - set(remote):
            await self._end(name)

    async def look(self, keyset: KeySet) -> None:
        """Let a remote primary key prove itself, here and now: it is to be announced next."""
        if watch := self._watches.get(keyset.primary.engine):
            await watch.look()

    async def leave_alone(self) -> None:
        """Wait until no call is inside of what is in the seal: it may be closed and opened anew."""
        for name, lanes in self._lanes.items():
            if name not in self._watches:
                await lanes.idle()

    async def leave(self) -> None:
        """The end."""
        for name in [*self._watches]:
            await self._end(name)
        for lanes in self._lanes.values():
            lanes.close()

    def _question(self, engine: str, why: Reason | None = None) -> None:
        """Look at once whether *engine* is what it was: a call came to doubt it."""
        if watch := self._watches.get(engine):
            watch.doubt(why)
        else:
            self._doubt()

    def _begin(self, name: str) -> None:
        watch = self._watches[name] = EngineWatch(
            name,
            partial(self._token.look, name),
            self._lanes[name],
            probe_seconds=self._probe_seconds,
            patience_seconds=2 * self._call_seconds,
            remark=self._remark,
            withdraw=self._withdraw,
            observer=self._observer,
        )
        self._watching[name] = asyncio.create_task(watch.run())

    async def _end(self, name: str) -> None:
        task = self._watching.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._watches.pop(name).close()
