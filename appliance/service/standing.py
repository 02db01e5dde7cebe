"""How the appliance stands at one moment, as a value."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from appliance import faults
from appliance.faults import Exit, Fault, Kind
from appliance.keys.keyset import KeySet
from appliance.volume.payload import Loss


class State(StrEnum):
    """What `kleidi status` calls it."""

    STARTING = "STARTING"
    UNPROVISIONED = "UNPROVISIONED"
    SEALED = "SEALED"
    OPERATIONAL = "OPERATIONAL"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"


Reason = tuple[Fault, str]

# Of what hurts no call yet, what will hurt most comes first; the others as they came.
_WORST_FIRST = (
    faults.KEY_UNREADABLE,
    faults.VOLUME_GONE,
    faults.ROLLED_BACK,
    faults.SOCKET_DIRECTORY,
    faults.SOCKET_OWNER,
    faults.SOCKET_GROUP,
    faults.SOCKET_TAKEN,
    faults.SEAL_KEY_GONE,
)


@dataclass(frozen=True)
class EngineStanding:
    """How one engine stands: *keys* that are its and not destroyed, why it is *away*, and since when.

    *used_from* is `copy` or `token` where the primary key is its, and it may use keys from copies in memory.
    *waiting* calls are in its lanes.
    """

    name: str
    remote: bool
    keys: int
    away: Reason | None = None
    since: int = 0
    used_from: str = ""
    waiting: int = 0


@dataclass(frozen=True)
class Standing:
    """*reason* is None only when a round trip with the primary key succeeded recently.

    *also* are all further reasons with their details, less grave than the first.
    """

    reason: Fault | None = faults.STARTING
    detail: str = field(default="", compare=False)
    keyset: KeySet | None = None
    generation: int = 0
    protection: str = ""
    lineage: str = ""
    losses: tuple[Loss, ...] = ()
    also: tuple[Reason, ...] = field(default=(), compare=False)
    # Opened, but the primary key has not been proved: it must not be announced.
    held_back: bool = False
    # The volume is whole, and what opens it is not at hand.
    sealed: bool = False

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Everything that is to be told, worst first."""
        return ((self.reason, self.detail), *self.also) if self.reason else ()

    @property
    def failing(self) -> Fault | None:
        """Why a call may fail although it serves: a warning hurts none, and must not look as if it did."""
        return next((fault for fault, _ in self.reasons if fault.kind is Kind.DEGRADED), None)

    def told(self, *more: Reason) -> "Standing":
        """The same with *more* reasons, if it serves: else there is only one."""
        if not self.serves:
            return self
        reasons = sorted((*self.reasons, *more), key=_gravity)
        if not reasons:
            return self
        (reason, detail), *also = reasons
        return replace(self, reason=reason, detail=detail, also=tuple(also))

    @property
    def serves(self) -> bool:
        """Whether the key is announced: writes go on, whatever else there is to say."""
        able = self.reason is None or self.reason.kind in (Kind.DEGRADED, Kind.WARNING)
        return able and self.keyset is not None and not self.held_back

    @property
    def state(self) -> State:
        if self.serves:
            return State.OPERATIONAL if self.reason is None else State.DEGRADED
        if self.held_back:
            # The volume is open: no word about that fits.
            return State.STARTING if self.reason is faults.STARTING else State.FAILED
        if self.reason in (faults.STARTING, faults.TOKEN_LOST):
            return State.STARTING
        if self.sealed:
            return State.SEALED
        exits = self.reason.exit if self.reason else Exit.ERROR
        by_exit = {
            Exit.SEALED: State.SEALED,
            Exit.WRONG_KEY: State.SEALED,
            Exit.UNPROVISIONED: State.UNPROVISIONED,
        }
        return by_exit.get(exits, State.FAILED)


def _gravity(reason: Reason) -> int:
    known = reason[0] in _WORST_FIRST
    return _WORST_FIRST.index(reason[0]) if known else len(_WORST_FIRST)
