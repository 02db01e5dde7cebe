"""The port to whatever holds the keys: an engine wraps, unwraps, and gives nothing else away.

An engine is a module of `appliance/engines/`; the registry there knows its name and how it is made. What
wrap gives is opaque to all others: a nonce is the engine's own business, and what proves a key is that it
unwraps its known answer. What an engine has to remember lies in the seal as its state; nobody else reads it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from appliance.faults import Fault
from appliance.keys.found import FoundToken

# The engine that every key had before there was another one, and that new keys have unless told otherwise.
SOFTHSM = "softhsm"
ENGINE_NAME = re.compile(r"[a-z][a-z0-9]{0,31}")


@dataclass(frozen=True)
class EngineState:
    """What the seal keeps for one engine: files by relative name. Empty: it keeps nothing."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.files)


@dataclass(frozen=True)
class Made:
    """A key that an engine made or took up.

    *state* holds it; *object_id* is the engine's name of it; *known_answer* is the known plaintext, wrapped
    (key_id.PROBE_…). *print_source* is what its fingerprint is drawn from, the same on every node that has
    the key. Of an engine that nodes share, *lineage* is what all of them call a cluster that begins here, and
    *number* what they call this key in it: so each comes to the same id by itself.
    """

    state: EngineState
    object_id: str
    known_answer: bytes
    print_source: bytes
    lineage: str = ""
    number: int = 0


class Cipher(Protocol):
    """AES-256-GCM, or what is as strong, under keys that stay inside.

    *key* is the engine's own name of a key. Both raise one of the errors below, ValueError for what no caller
    of ours may ask, or a bug's own.
    """

    def wrap(self, key: str, plaintext: bytes, aad: bytes) -> bytes:
        """What unwrap gives *plaintext* back for: `nonce 12 | ciphertext | tag 16` in envelope format 1."""
        ...

    def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
        """What wrap was given. A known answer proves all that the key rests on, whatever serves calls."""
        ...


class Engine(Cipher, Protocol):
    """Where keys are made, used and given up.

    What is not a cipher's raises KleidiError and leaves all as it was.
    """

    @property
    def lanes(self) -> int:
        """How many calls may wait for it at a time; 0: none waits, calls are made on the event loop."""
        ...

    @property
    def remote(self) -> bool:
        """Whether its keys lie outside of the seal: then it may be away, and heals by itself."""
        ...

    def open(self, directory: Path, state: EngineState) -> None:
        """Get ready, in a private *directory* in memory.

        A remote one only prepares and waits for nobody; calls that are under way go on.
        """
        ...

    def close(self) -> None: ...

    def make(self, scratch: Path, state: EngineState, wish: str) -> Made:
        """A new key beside those of *state*, named *wish* where the engine lets us choose.

        Away from what is open, as are the next two: in *scratch*, a private place in memory.
        """
        ...

    def destroy(self, scratch: Path, state: EngineState, object_id: str) -> EngineState:
        """*state* without that key."""
        ...

    def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:
        """Try every key, by object id, with its known answer; raise E-TRIAL-FAILED."""
        ...

    def needs(self, state: EngineState) -> str:
        """What its keys need that is not in *state*, in words; empty when *state* has it all."""
        ...


@runtime_checkable
class Finds(Protocol):
    """An engine that many nodes share: a key that another took up can be found by its fingerprint."""

    def find(self, state: EngineState, fingerprint: str) -> Made | None:
        """The key of that *fingerprint*, beside those of *state*; None when there is none.

        Raises like wrap.
        """
        ...


@runtime_checkable
class Inspects(Protocol):
    """An engine that can see what will trouble somebody before it does."""

    def inspect(self) -> Mapping[Fault, str]:
        """Warnings with their details; raises like wrap. May take as long as a call."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """An engine that can do a part of opening ahead of it, while it serves what is open."""

    def prepare(self, directory: Path, state: EngineState) -> None:
        """Do what open() of the same two need not do any more. Raises KleidiError."""
        ...


@runtime_checkable
class Copies(Protocol):
    """An engine that may use a key from a copy in memory, where the key allows it."""

    def copied(self, key: str) -> bool | None:
        """Whether it does so with that key; None until it was used. Waits for nobody."""
        ...


@dataclass(frozen=True)
class Adoption:
    """A key taken over with its token, and what whoever brought it should know."""

    made: Made
    warning: str = ""


@runtime_checkable
class Adopts(Protocol):
    """An engine that takes over what another plugin over the same kind of store made."""

    def adopt(self, scratch: Path, state: EngineState, found: FoundToken) -> Adoption:
        """*state* with it beside. Raises E-TOKEN-NOT-ADOPTED, and E-KEY-ADOPTED-ALREADY."""
        ...


@runtime_checkable
class TakesOver(Protocol):
    """An engine that holds what another plugin encrypted with, and can name it."""

    def take_over(self, state: EngineState, name: str) -> Made:
        """The key of that *name* beside those of *state*; it only unwraps. Raises E-KEY-ADOPTED-ALREADY."""
        ...


class EngineError(Exception):
    """What an engine can answer instead of bytes. Never raised itself."""


class TamperedError(EngineError):
    """The tag does not fit: another key, other bytes, other associated data."""


class LostError(EngineError):
    """The engine or the key went away; opening it again may heal it."""


class _ReasonError(EngineError):
    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.id} {detail}".strip())
        self.fault = fault
        self.detail = detail

    @property
    def reason(self) -> tuple[Fault, str]:
        return self.fault, self.detail


class AwayError(_ReasonError):
    """Out of reach, or refusing for now: there is nothing to open, it heals by itself."""


class OffError(_ReasonError):
    """It answers and will not use this key: gone, forbidden, or another one in its place."""
