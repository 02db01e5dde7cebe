"""How the appliance stands at one moment, as a value."""

from dataclasses import dataclass, field
from enum import StrEnum

from appliance import faults
from appliance.faults import Exit, Fault, Kind
from appliance.keys.keyset import KeySet


class State(StrEnum):
    """What `kleidi status` calls it."""

    STARTING = "STARTING"
    UNPROVISIONED = "UNPROVISIONED"
    SEALED = "SEALED"
    OPERATIONAL = "OPERATIONAL"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Standing:
    """*reason* is None only when a round trip with the primary key succeeded recently."""

    reason: Fault | None = faults.STARTING
    detail: str = field(default="", compare=False)
    keyset: KeySet | None = None
    generation: int = 0
    protection: str = ""

    @property
    def serves(self) -> bool:
        """Whether the key is announced: writes go on, whatever else there is to say."""
        able = self.reason is None or self.reason.kind in (Kind.DEGRADED, Kind.WARNING)
        return able and self.keyset is not None

    @property
    def state(self) -> State:
        if self.serves:
            return State.OPERATIONAL if self.reason is None else State.DEGRADED
        if self.reason in (faults.STARTING, faults.TOKEN_LOST):
            return State.STARTING
        exits = self.reason.exit if self.reason else Exit.ERROR
        by_exit = {
            Exit.SEALED: State.SEALED,
            Exit.WRONG_KEY: State.SEALED,
            Exit.UNPROVISIONED: State.UNPROVISIONED,
        }
        return by_exit.get(exits, State.FAILED)
