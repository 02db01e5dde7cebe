"""The open token and its proofs, step by step and without a clock. All of it runs on the token's thread."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from appliance import faults
from appliance.faults import Kind, KleidiError
from appliance.keys.cipher import Cipher, CipherError
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.logs import event
from appliance.provision.plan import Refusal
from appliance.service.standing import Standing
from appliance.volume import memory
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import TokenImage
from appliance.volume.slot import Unwrapper


class TokenOpener(Cipher, Protocol):
    """What the server needs of an engine: a cipher that can be opened and closed."""

    @property
    def waits(self) -> bool:
        """Whether a call may wait for something outside of this process, and so needs a thread to wait in."""

    def open(self, directory: Path, image: TokenImage) -> None: ...

    def close(self) -> None: ...


class Strongroom:
    """Closed until open() succeeds; holds the volume's lock and the token's directory while it is open."""

    def __init__(
        self,
        storage: Storage,
        engine: TokenOpener,
        memory_dir: Path,
        why_not_sealed: Callable[[], Refusal | None],
        take_up: Callable[[KeySet], None] = lambda _keyset: None,
    ) -> None:
        """*take_up* is told of the key set each time the volume was opened, before anything is served."""
        self._storage = storage
        self._engine = engine
        self._memory_dir = memory_dir
        self._why_not_sealed = why_not_sealed
        self._take_up = take_up
        self._held = contextlib.ExitStack()
        self._room: Path | None = None
        self._opened: Opened | None = None
        self._keyring: Keyring | None = None
        # What the seal was last opened with or keeps inside: the key file may go away meanwhile.
        self._openers: Sequence[Unwrapper] = ()

    @property
    def waits(self) -> bool:
        return self._engine.waits

    @property
    def keyring(self) -> Keyring:
        if self._keyring is None:
            raise KleidiError(faults.TOKEN_LOST)
        return self._keyring

    @property
    def opened(self) -> Opened:
        """What is being served from."""
        if self._opened is None:
            raise KleidiError(faults.TOKEN_LOST)
        return self._opened

    def open(self) -> Standing:
        """Open the newest generation and prove every key; raise KleidiError with the reason if not."""
        if refusal := self._why_not_sealed():
            raise KleidiError(refusal.fault, refusal.detail)
        self._held.enter_context(self._storage.volume.lock())
        self._room = self._held.enter_context(memory.room(self._memory_dir))
        opened = self._storage.open(self._openers)
        standing = self._enter(opened, anew=True)
        self._storage.forget(opened)
        self._take_up(opened.payload.keyset)
        return standing

    def admit(self, opener: Unwrapper) -> None:
        """Open with *opener* from here on, for the life of this process, if it opens what is there."""
        self._storage.open([opener])
        self._openers = [opener]

    def look(self) -> Opened:
        """The newest generation, read and remembered while calls go on: what takes the time of a disk."""
        opened = self._storage.open(self._openers)
        return replace(opened, warnings=(*opened.warnings, *self._storage.remember(opened.header)))

    def switch(self, opened: Opened) -> Standing:
        """Go over to what look() gave while calls wait; they wait some milliseconds."""
        # All keys of it were tried by a fresh process before the commit, so that only what encrypts is
        # tried again here: a thousand keys would take a fifth of a second.
        return self._enter(opened, anew=False)

    def newest(self) -> int:
        """The highest generation on the volume: more than the open one after a change."""
        return self._storage.volume.survey().newest

    def _enter(self, opened: Opened, *, anew: bool) -> Standing:
        if self._opened is None or opened.payload.token != self._opened.payload.token:
            self._load(opened)
        known = self._keyring.unreadable if self._keyring else frozenset()
        self._keyring = Keyring(opened.payload.keyset, self._engine, unreadable=known)
        if anew:
            self._judge(self._keyring.strangers())
        faulty = [faults.KEY_UNREADABLE] if self._keyring.unreadable else []
        # Written down before anything is announced: an announced key must leave a trace outside the volume.
        remembered = self._storage.remember(opened.header) if anew else ()
        warnings = [*opened.warnings, *faulty, *remembered]
        for fault in warnings:
            if fault.kind not in (Kind.DEGRADED, Kind.WARNING):
                raise KleidiError(fault)  # not one to serve with; to be tried again, it may be mended
        self.prove()
        self._opened = opened
        self._openers = opened.payload.slots or self._openers
        return Standing(
            reason=warnings[0] if warnings else None,
            keyset=opened.payload.keyset,
            generation=opened.header.generation,
            protection=opened.protection,
        )

    def _load(self, opened: Opened) -> None:
        if self._room is None:
            raise KleidiError(faults.TOKEN_LOST)
        directory = self._room / f"generation-{opened.header.generation}"
        directory.mkdir(mode=0o700)
        self._engine.open(directory, opened.payload.token)
        for older in self._room.glob("generation-*"):
            if older != directory:
                memory.remove(older)

    def prove(self) -> None:
        """A real round trip with the primary key, as a caller would make it."""
        try:
            self.keyring.probe()
        except CipherError as error:
            raise KleidiError(faults.TOKEN_LOST, str(error)) from error
        except KleidiError as error:
            lost = error.fault is faults.TOKEN_LOST
            raise error if lost else KleidiError(faults.PRIMARY_WRONG, str(error)) from error

    def close(self) -> None:
        self._keyring, self._opened, self._room = None, None, None
        self._engine.close()
        self._held.close()

    @staticmethod
    def _judge(strangers: list[Key]) -> None:
        """Every key must give its known answer; only the primary key's failure stops everything."""
        for key in strangers:
            if key.state is KeyState.PRIMARY:
                raise KleidiError(faults.PRIMARY_WRONG, key.id)
            event(logging.ERROR, str(faults.KEY_UNREADABLE), key_id=key.id)
