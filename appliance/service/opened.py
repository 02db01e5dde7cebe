"""What is open and its proofs, step by step and without a clock. All but look() runs on the token's thread.

What was opened and proved once is not given up because of what the disk looks like later: it goes on to a
newer generation that follows from it, and is opened again from memory when the token is lost.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from appliance import faults
from appliance.faults import Fault, Kind, KleidiError
from appliance.keys.engine import Copies, EngineError, EngineState, LostError, Prepares
from appliance.keys.engines import Engines
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeySet, KeyState
from appliance.logs import event
from appliance.provision.plan import Refusal
from appliance.service.engines.look import Look, look
from appliance.service.standing import Standing
from appliance.volume import durable, memory
from appliance.volume.opening import Opened, Storage
from appliance.volume.slot import Unwrapper

_ORDER = list(KeyState)


class OpenToken:
    """Closed until open() succeeds; from then on it holds the volume's lock, until leave()."""

    def __init__(
        self,
        storage: Storage,
        engines: Engines,
        memory_dir: Path,
        why_not_sealed: Callable[[], Refusal | None],
        take_up: Callable[[KeySet], None] = lambda _keyset: None,
    ) -> None:
        """*take_up* is told of the key set each time the volume was opened, before anything is served."""
        self._storage = storage
        self._engines = engines
        self._memory_dir = memory_dir
        self._why_not_sealed = why_not_sealed
        self._take_up = take_up
        self._lock = contextlib.ExitStack()
        self._lodging = contextlib.ExitStack()
        self._room: Path | None = None
        self._opened: Opened | None = None
        self._keyring: Keyring | None = None
        # What the seal was last opened with or keeps inside: the key file may go away meanwhile.
        self._openers: Sequence[Unwrapper] = ()
        self._warnings: tuple[Fault, ...] = ()
        self._in_use: tuple[str, ...] = ()
        # Why an engine that is not the primary key's did not open: the others are served without it.
        self._shut: dict[str, KleidiError] = {}
        # Where each engine is open, and which state of one lies ready to be opened where.
        self._placed: dict[str, Path] = {}
        self._ready: dict[str, tuple[EngineState, Path]] = {}

    def lanes(self) -> dict[str, int]:
        """The engines in use, and how many calls may wait for each at a time."""
        return {name: self._engines[name].lanes for name in self._in_use}

    def remote(self) -> list[str]:
        """Those of the engines in use whose keys lie outside of the seal."""
        return [name for name in self._in_use if self._engines[name].remote]

    def used_from(self) -> str:
        """What the primary key is used from, a `copy` in memory or the `token`; empty where nobody tells."""
        if self._keyring is None:
            return ""
        key = self._keyring.keyset.primary
        engine = self._engines[key.engine]
        copied = engine.copied(key.object_id) if isinstance(engine, Copies) else None
        return "" if copied is None else "copy" if copied else "token"

    @property
    def keyring(self) -> Keyring:
        """Raises E-TOKEN-LOST while it is closed."""
        if self._keyring is None:
            raise KleidiError(faults.TOKEN_LOST)
        return self._keyring

    @property
    def opened(self) -> Opened:
        """What is being served from. Raises E-TOKEN-LOST before anything was."""
        if self._opened is None:
            raise KleidiError(faults.TOKEN_LOST)
        return self._opened

    def labelled(self) -> tuple[str, int]:
        """Lineage and generation as the newest seal has them outside, which nothing has to be open for."""
        try:
            header = self._storage.header(self._storage.sealed())
        except KleidiError:
            return "", 0
        return header.lineage, header.generation

    def open(self) -> Standing:
        """Open the newest generation and prove every key; raise KleidiError with the reason if not."""
        opened = self._again() if self._opened else self._for_the_first_time()
        self._room = self._lodging.enter_context(memory.room(self._memory_dir))
        standing = self._enter(opened, anew=True)
        if not self._storage.adrift(opened):
            self._storage.forget(opened)
        self._take_up(opened.keyset)
        return standing

    def _for_the_first_time(self) -> Opened:
        if refusal := self._why_not_sealed():
            raise KleidiError(refusal.fault, refusal.detail)
        self._lock.enter_context(self._storage.volume.lock())
        self._storage.sweep()
        return self._storage.open(self._openers)

    def _again(self) -> Opened:
        """The token was lost, not what it was made of: the volume's newest, or the one in memory."""
        try:
            return self.ahead() or self.opened
        except KleidiError as error:
            event(logging.WARNING, "opened again from memory", detail=str(error))
            return self.opened

    def admit(self, opener: Unwrapper) -> None:
        """Open with *opener* from here on, for the life of this process, if it opens what is there.

        Raises E-SEAL-KEY-WRONG if it does not, and whatever else keeps a seal from being opened.
        """
        self._storage.open([opener])
        self._openers = [opener]

    def revise(self, opened: Opened) -> None:
        """Go on from *opened*, the same generation with something in it that could not be committed."""
        if opened.digest == self.opened.digest:
            self._opened = opened

    def ahead(self) -> Opened | None:
        """A newer generation that goes on from what is served, read and remembered while calls go on.

        None when there is none, or when the volume is not the one that was opened. Raises KleidiError for one
        that does not follow: whatever it is, these keys are not in it; and for one that may not outlive a
        power cut: its keys must not be announced.
        """
        volume, held = self._storage.volume, self.opened
        if volume.why_changed() or volume.survey().newest <= held.header.generation:
            return None
        opened = self._storage.open(self._openers)
        _demand_successor(held, opened)
        volume.settle()
        return replace(opened, warnings=(*opened.warnings, *self._storage.remember(opened)))

    def prepare(self, opened: Opened) -> None:
        """Do what can be done of a switch() to *opened* while calls go on. Raises KleidiError."""
        for name, state in self._changed(opened, self._opened):
            engine = self._engines[name]
            if isinstance(engine, Prepares):
                place = self._place(name)
                engine.prepare(place, state)
                self._ready[name] = state, place

    def switch(self, opened: Opened) -> Standing:
        """Go over to what ahead() gave while calls wait; they wait some milliseconds.

        Raises as open() does.
        """
        # All keys of it were tried by a fresh process before the commit, so that only what encrypts is
        # tried again here: a thousand keys would take a fifth of a second.
        return self._enter(opened, anew=False)

    def _enter(self, opened: Opened, *, anew: bool) -> Standing:
        self._load(opened, None if anew else self._opened)
        known = self._keyring.unreadable if self._keyring else frozenset()
        self._keyring = Keyring(opened.keyset, self._engines, unreadable=known)
        if anew:
            self._judge(self._keyring)
        # Written down before anything is announced: an announced key must leave a trace outside the volume.
        remembered = self._storage.remember(opened) if anew else ()
        warnings = tuple(dict.fromkeys((*opened.warnings, *remembered)))
        for fault in warnings:
            if fault.kind is not Kind.WARNING:
                raise KleidiError(fault)  # not one to serve with; to be tried again, it may be mended
        self.prove()
        self._opened, self._warnings = opened, warnings
        self._openers = opened.payload.slots or self._openers
        return Standing(
            reason=faults.KEY_UNREADABLE if self._keyring.unreadable else None,
            keyset=opened.keyset,
            generation=opened.header.generation,
            protection=opened.protection,
            losses=opened.payload.losses,
        )

    def warnings(self) -> dict[Fault, str]:
        """What was found at the last opening and hurts no call, each with its detail."""
        missing = self._storage.shortfall(self.opened) if faults.ROLLED_BACK in self._warnings else None
        return {
            fault: missing.why if missing and fault is faults.ROLLED_BACK else "" for fault in self._warnings
        }

    def _load(self, opened: Opened, before: Opened | None) -> None:
        """Open every engine that what was open *before* does not have as it is to be."""
        used, self._in_use = self._in_use, _in_use(opened)
        for name in set(used) - set(self._in_use):
            self._engines[name].close()
        for name, state in self._changed(opened, before):
            self._open_engine(name, state, needed=name == opened.keyset.primary.engine)

    def _changed(self, opened: Opened, before: Opened | None) -> list[tuple[str, EngineState]]:
        """The engines of *opened* that are not open as it has them."""
        had = before.payload.engines if before else {}
        states = [(name, opened.payload.state(name)) for name in _in_use(opened)]
        return [(name, state) for name, state in states if name in self._shut or had.get(name) != state]

    def _place(self, name: str) -> Path:
        """A new place for that engine, in memory."""
        if self._room is None:
            raise KleidiError(faults.TOKEN_LOST)
        place = self._room / f"{name}-{secrets.token_hex(4)}"
        with durable.translated_as(faults.MEMORY_FULL):
            place.mkdir(mode=0o700)
        return place

    def _open_engine(self, name: str, state: EngineState, *, needed: bool) -> None:
        """In a place of its own; tidy() takes away the one that it had."""
        ready, place = self._ready.pop(name, (None, None))
        if place is None or ready != state:
            place = self._place(name)
        self._placed[name] = place
        self._shut.pop(name, None)
        try:
            self._engines[name].open(place, state)
        except KleidiError as error:
            if needed:
                raise
            event(logging.ERROR, "an engine does not open", engine=name, detail=str(error))
            self._shut[name] = error

    def tidy(self) -> None:
        """Remove the places that no engine has any more; calls need not wait for it."""
        if self._room is None:
            return
        kept = {place.name for place in self._placed.values()} | {
            each.name for _, each in self._ready.values()
        }
        with contextlib.suppress(KleidiError):  # the whole room goes at the end
            for name in durable.names(self._room, faults.MEMORY_FULL):
                if "-" in name and name not in kept:
                    memory.remove(self._room / name)

    def prove(self) -> None:
        """A real round trip with the primary key, as a caller would make it.

        Raises E-TOKEN-LOST, which opening again may heal, or E-PRIMARY-WRONG. Of a remote one look() tells.
        """
        if self._engines[self.keyring.keyset.primary.engine].remote:
            return
        try:
            self.keyring.probe()
        except EngineError as error:
            raise KleidiError(faults.TOKEN_LOST, str(error)) from error
        except KleidiError as error:
            lost = error.fault is faults.TOKEN_LOST
            raise error if lost else KleidiError(faults.PRIMARY_WRONG, str(error)) from error

    def tend(self) -> None:
        """Open again what did not open or was lost, is in the seal, and is not the primary key's."""
        keyring, opened = self.keyring, self.opened
        for name in self._in_use:
            if self._engines[name].remote or name == keyring.keyset.primary.engine:
                continue
            lost = any(isinstance(error, LostError) for error in keyring.failing(name).values())
            if lost or name in self._shut:
                self._open_engine(name, opened.payload.state(name), needed=False)
                keyring.failing(name)
                self.tidy()

    @property
    def shuts(self) -> str:
        """Every engine that did not open, with the reason, in words; empty when all did."""
        return "; ".join(f"{name}: {error.brief}" for name, error in self._shut.items())

    def shut(self, engine: str) -> KleidiError | None:
        """Why that *engine* did not open, when it did not."""
        return self._shut.get(engine)

    def look(self, engine: str, thorough: bool) -> Look:
        """How that remote *engine* is. Asks the network; raises only E-TOKEN-LOST, while all is closed."""
        return look(self.keyring, engine, self._engines[engine], thorough=thorough)

    def close(self) -> None:
        """Close the token. What it was made of is kept, and the volume with it, once it was proved."""
        self._keyring, self._room = None, None
        self._placed.clear()
        self._ready.clear()
        for name in self._in_use:
            self._engines[name].close()
        self._lodging.close()
        if self._opened is None:
            self._lock.close()

    def leave(self) -> None:
        """The end: nothing is held any more."""
        self._opened = None
        self.close()

    def _judge(self, keyring: Keyring) -> None:
        """Every key in the seal must give its known answer; only the primary's failure stops everything.

        A remote engine's keys are not proved yet: whether it is there must not matter here.
        """
        for name in self._in_use:
            if self._engines[name].remote or name in self._shut:
                continue
            for key in keyring.failing(name):
                if key.state is KeyState.PRIMARY:
                    raise KleidiError(faults.PRIMARY_WRONG, key.id)
                event(logging.ERROR, "a key is unreadable", id=faults.KEY_UNREADABLE.id, key_id=key.id)


def _in_use(opened: Opened) -> tuple[str, ...]:
    return tuple(dict.fromkeys([opened.keyset.primary.engine, *opened.payload.engines]))


def _demand_successor(held: Opened, opened: Opened) -> None:
    """Raise KleidiError unless every key that is held is in *opened*, and none in an earlier state."""
    if opened.header.lineage != held.header.lineage:
        raise KleidiError(faults.LINEAGE_FOREIGN, f"{held.header.lineage} is served, not what was found")
    there = {key.id: key.state for key in opened.keyset.keys}
    for key in held.keyset.keys:
        # Enabling a key again is the one way back, and it leads no further than to RETIRED.
        earlier = KeyState.RETIRED if key.state is KeyState.DISABLED else key.state
        if key.id not in there or _ORDER.index(there[key.id]) < _ORDER.index(earlier):
            raise KleidiError(faults.VOLUME_CHANGED, f"{key.id} is {key.state} here, not in what was found")
