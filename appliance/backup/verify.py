"""Examining a bundle without restoring it: open it in memory, let a fresh process prove every key."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from appliance import faults
from appliance.age.key_pairs import Opener
from appliance.backup.bundle import alive, held, open_bundle
from appliance.faults import Kind, KleidiError
from appliance.keys.engines import Engines
from appliance.keys.keyset import KeyState
from appliance.volume import memory
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from appliance.volume.trial import prove


@dataclass(frozen=True)
class Examination:
    """What a bundle holds, and what it cannot hold.

    *needs* is what its keys need that is not in it, in words by the engine's name; *unproved*, why a remote
    engine could not be asked whether its keys work.
    """

    header: Header
    payload: Payload
    needs: Mapping[str, str]
    unproved: Mapping[str, str]

    @property
    def proved(self) -> int:
        """How many keys were tried, and work."""
        return len([key for key in alive(self.payload) if key.engine not in self.unproved])


def examine(data: bytes, opener: Opener, engines: Engines, memory_dir: Path) -> Examination:
    """Prove every key in a bundle by its known answer. Raises E-BACKUP-…, E-MEMORY-…."""
    header, payload = open_bundle(data, opener)
    unproved: dict[str, str] = {}
    with memory.room(memory_dir) as scratch:
        for name, state in payload.engines.items():
            try:
                prove(engines, scratch, {name: state}, payload.keyset)
            except KleidiError as error:
                if engines[name].remote and error.fault.kind is Kind.DEGRADED:
                    unproved[name] = error.brief
                elif error.fault is faults.TRIAL_FAILED:
                    raise KleidiError(faults.BACKUP_INCOMPLETE, error.detail) from error
                else:
                    raise
    needs = {
        name: needed for name, state in payload.engines.items() if (needed := engines[name].needs(state))
    }
    return Examination(header, payload, needs, unproved)


@dataclass(frozen=True)
class LiveKey:
    name: str
    key_id: str
    state: str


@dataclass(frozen=True)
class Comparison:
    """A bundle beside the keys that there are: what it *lacks* of them, and what it has *beyond* them."""

    verdict: Annotated[str, "MATCHES, STALE when it lacks keys, AHEAD when it has more"]
    keyset: Annotated[str, "the live key set's hash"]
    lacks: Annotated[tuple[str, ...], "names of the keys that it lacks"]
    beyond: Annotated[tuple[str, ...], "names of the keys that only it has"]
    same_states: Annotated[bool, "whether every key was in the same state"]

    def to_text(self) -> str:
        if self.lacks:
            return f"STALE: lacks {', '.join(self.lacks)} of the live key set {self.keyset}"
        if self.beyond:
            return f"AHEAD: holds {', '.join(self.beyond)}, which the live key set {self.keyset} lacks"
        states = "" if self.same_states else "; some keys were in another state when it was made"
        return f"MATCHES the live key set {self.keyset}{states}"


def compare(payload: Payload, lineage: str, keyset: str, live: Iterable[LiveKey]) -> Comparison:
    """Raises E-BACKUP-FOREIGN when they have nothing to do with each other."""
    if payload.keyset.lineage != lineage:
        detail = f"{payload.keyset.lineage}, here is {lineage}"
        raise KleidiError(faults.BACKUP_FOREIGN, detail)
    here = [key for key in live if key.state != KeyState.DESTROYED]
    known, inside = {key.key_id for key in here}, set(held(payload))
    lacks = tuple(key.name for key in here if key.key_id not in inside)
    # A key destroyed here meanwhile is no reason for alarm: that is what older backups are like.
    gone = {key.key_id for key in live if key.state == KeyState.DESTROYED}
    beyond = tuple(key.name for key in payload.keyset.keys if key.id in inside and key.id not in known | gone)
    verdict = "STALE" if lacks else "AHEAD" if beyond else "MATCHES"
    return Comparison(verdict, keyset, lacks, beyond, same_states=payload.keyset.hash == keyset)


def missing(payload: Payload, stored: Mapping[str, int]) -> dict[str, int]:
    """Of the key ids that objects are *stored* under, those that the bundle lacks, with their number."""
    inside = held(payload)
    return {key_id: count for key_id, count in sorted(stored.items()) if key_id not in inside}
