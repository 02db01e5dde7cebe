"""Counting as an observer: plain numbers in plain dictionaries, which whoever is asked for them reads.

Each call comes by here, so that a call costs a dictionary, a bisection and some additions. What a label is
made of is from closed lists: a service's methods, the table of faults, the engines. Counted on one thread.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.telemetry.observer import Called, Event, Proved, Remarked, Stood, Switched, TokenOpened

# In seconds: ours are tenths of a millisecond, and the API server gives up after three seconds.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
# What leaves the node by a call of that name, when it is no dry run.
EXPORTS = {"Bundle": "backup", "Export": "node"}


class Calls:
    """The calls of one method: so many went *well*, were *refused* by their faults' ids; the *last* was when.

    In Unix seconds, 0 for never.
    """

    __slots__ = ("last", "refused", "seconds", "taken", "well")

    def __init__(self) -> None:
        self.well = 0
        self.refused: dict[str, int] = {}
        self.seconds = 0.0
        self.last = 0.0
        # So many took at most as long as each bound, and longer than the one before it.
        self.taken = [0] * (len(BOUNDS) + 1)


@dataclass
class Proofs:
    """Of one engine's primary key: the *last* that succeeded, in Unix seconds, and how long one took."""

    well: int = 0
    failed: int = 0
    last: float = 0.0
    seconds: float = 0.0


@dataclass
class Counts:
    """Since this process started; nothing of it lasts longer."""

    clock: Callable[[], float] = time.time
    calls: dict[str, Calls] = field(default_factory=dict)
    proofs: dict[str, Proofs] = field(default_factory=dict)
    exports: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    switched: int = 0
    pause: float = 0.0
    state: str = "STARTING"
    since: float = 0.0

    def __post_init__(self) -> None:
        self.since = self.clock()

    def observe(self, told: Event) -> None:
        if type(told) is not Called:
            self._happened(told)
            return
        _, seconds, _, _, fault, _, _, about, rpc = told
        calls = self.calls.get(rpc)
        if calls is None:
            calls = self.calls[rpc] = Calls()
        calls.last = self.clock()
        calls.seconds += seconds
        calls.taken[bisect_left(BOUNDS, seconds)] += 1
        if fault is not None:
            # By its id: to hash a fault takes longer than all of this.
            calls.refused[fault.id] = calls.refused.get(fault.id, 0) + 1
            return
        calls.well += 1
        if about and rpc in EXPORTS and not about.get("dry_run"):
            self.exports[EXPORTS[rpc]] += 1

    def stands(self, state: str) -> None:
        """How it stands at this moment: that a proof grew old is told by nobody."""
        if state != self.state:
            self.state, self.since = state, self.clock()

    def _happened(self, told: Event) -> None:
        match told:
            case TokenOpened():
                self.opened += 1
            case Switched(_, seconds):
                self.switched += 1
                self.pause = seconds
            case Stood(_, state) | Remarked(_, _, state):
                self.stands(state)
            case Proved():
                self._proved(told)
            case _:
                ...  # what is committed the volume tells

    def _proved(self, told: Proved) -> None:
        proofs = self.proofs.setdefault(told.engine, Proofs())
        if told.fault is not None:
            proofs.failed += 1
            return
        proofs.well += 1
        proofs.last = self.clock()
        if told.seconds:
            proofs.seconds = told.seconds
