"""The tripwire: refused decrypts, counted by what they say of this volume, and the one sort that trips it.

A key id of our own lineage that we do not hold is what an older copy of the volume looks like from outside:
no other witness may be left. It is a warning and no more, for any caller can make such an id up; calls and
Status go on. Ciphertexts that fail their authentication trip nothing at any number: whoever may call can send
bytes under any id, and a damaged object is told to its own reader.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from appliance import faults
from appliance.faults import Fault
from appliance.keys import key_id as ids
from appliance.service.keeper import Keeper
from appliance.service.rpc import answers

# Whatever callers send: no more key ids than these are kept of a kind.
MOST_IDS = 8
_SHOWN_IDS = 3
_LOOK_SECONDS = 2.0


class Sort(StrEnum):
    """What was asked for, worst first."""

    MISSED = "missed"  # a key of our lineage that is not held
    FOREIGN = "foreign"  # a key of another lineage
    STRANGE = "strange"  # another plugin's, or one that is to be adopted yet
    OFF = "off"  # a disabled or destroyed key
    TAMPERED = "tampered"  # a ciphertext that no key of ours made


@dataclass
class Tally:
    """How many of one sort, when (Unix seconds), and for which key ids, as many as are kept."""

    count: int = 0
    first: int = 0
    last: int = 0
    key_ids: list[str] = field(default_factory=list)

    def add(self, key_id: str, now: int) -> None:
        self.first = self.first or now
        self.count, self.last = self.count + 1, now
        if key_id not in self.key_ids and len(self.key_ids) < MOST_IDS:
            self.key_ids.append(key_id)


_SORTS = {
    faults.KEY_DISABLED: Sort.OFF,
    faults.KEY_DESTROYED: Sort.OFF,
    faults.CIPHERTEXT_TAMPERED: Sort.TAMPERED,
}


class Tripwire:
    """Since this process started; nothing of it lasts longer."""

    def __init__(self, keeper: Keeper, now: Callable[[], float] = time.time) -> None:
        self._keeper = keeper
        self._now = now
        self._lineage = ""
        self._tallies: dict[Sort, Tally] = {}
        self._missing: list[str] = []
        self._others = False

    def touch(self, fault: Fault, key_id: str) -> None:
        """A decrypt was refused with *fault*; most have nothing to do with us."""
        sort = self._sort(key_id) if fault is faults.KEY_UNKNOWN else _SORTS.get(fault)
        if sort is None:
            return
        self._tallies.setdefault(sort, Tally()).add(answers.printable(key_id), int(self._now()))
        if sort is Sort.MISSED and key_id not in self._missing:
            self._trip(key_id)

    def tallies(self) -> dict[Sort, Tally]:
        """What there is to tell, worst first."""
        return {sort: self._tallies[sort] for sort in Sort if sort in self._tallies}

    def look(self) -> None:
        """Give the warning up once every key that was missed has come: by a join, or with a newer volume."""
        keyset = self._keeper.standing().keyset
        if not self._missing or keyset is None:
            return
        held = {key.id for key in keyset.keys}
        missing = [key_id for key_id in self._missing if key_id not in held]
        if missing == self._missing:
            return
        self._missing = missing
        if missing or self._others:
            self._keeper.remark(faults.KEY_MISSED, self._detail())
        else:
            self._keeper.withdraw(faults.KEY_MISSED)

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def _sort(self, key_id: str) -> Sort:
        keyset = self._keeper.standing().keyset
        if keyset is not None:  # else the token went away a moment ago, and its lineage is the same
            self._lineage = keyset.lineage
        lineage = ids.lineage(key_id)
        if not lineage:
            return Sort.STRANGE
        return Sort.MISSED if lineage == self._lineage else Sort.FOREIGN

    def _trip(self, key_id: str) -> None:
        if len(self._missing) < MOST_IDS:
            self._missing.append(key_id)
        elif self._others:
            return
        else:
            self._others = True  # which ones is not known any more, so they cannot be seen to come
        self._keeper.remark(faults.KEY_MISSED, self._detail())

    def _detail(self) -> str:
        more = ["others"] if self._others or len(self._missing) > _SHOWN_IDS else []
        return ", ".join([*self._missing[:_SHOWN_IDS], *more])
