"""What to do about what was observed. Pure: every combination can be tried in a test."""

from dataclasses import dataclass
from enum import StrEnum

from appliance import faults
from appliance.faults import Fault
from appliance.provision.policy import Policy
from appliance.volume.anchor import Memory
from appliance.volume.generations import UNFIT, Survey, VolumeState
from appliance.volume.slot import Presence


class Step(StrEnum):
    """In this order: custody before token, token before seal."""

    CREATE_SEAL_KEY = "create the seal key"
    MAKE_FIRST_GENERATION = "make the first generation"
    VERIFY = "open the newest generation"


@dataclass(frozen=True)
class Refusal:
    fault: Fault
    detail: str = ""


@dataclass(frozen=True)
class Observation:
    """Everything that the decision rests on."""

    policy: Policy
    survey: Survey
    seal_key: Presence
    seal_key_used: bool = False
    remembered: Memory | None = None
    anchor_readable: bool = True
    expected_lineage: str | None = None
    allow_unmounted: bool = False
    # What it is that keeps a slot from being made, where more is known than that it is not there.
    seal_key_trouble: Refusal | None = None
    # Whether the first generation would open by this machine's own chip and by nothing else.
    alone: bool = False


Plan = tuple[Step, ...]

_NO_SLOT = {Presence.INVALID: faults.SEAL_KEY_INVALID, Presence.ABSENT: faults.SEAL_KEY_UNWRITABLE}


def plan(seen: Observation) -> Plan | Refusal:
    """The steps to a sealed volume, or why there are none to take."""
    if fault := UNFIT.get(seen.survey.state):
        return Refusal(fault, ", ".join(seen.survey.strangers))
    if seen.survey.state is VolumeState.SEALED:
        return (Step.VERIFY,)
    for fault in (_evidence(seen), _policy(seen), _unfit(seen)):
        if fault is not None:
            return Refusal(fault)
    if fault := _NO_SLOT.get(seen.seal_key):
        return seen.seal_key_trouble or Refusal(fault)
    if seen.seal_key is Presence.PRESENT:
        return (Step.MAKE_FIRST_GENERATION, Step.VERIFY)
    return (Step.CREATE_SEAL_KEY, Step.MAKE_FIRST_GENERATION, Step.VERIFY)


def _evidence(seen: Observation) -> Fault | None:
    """Any sign that there was a key before: then the volume is not new, it is lost."""
    if seen.remembered is not None:
        return faults.VOLUME_EMPTIED
    if not seen.anchor_readable:
        return faults.ANCHOR_UNREADABLE
    if seen.seal_key_used:
        return faults.SEAL_KEY_USED
    if seen.survey.traces:
        return faults.VOLUME_EMPTIED
    if seen.expected_lineage is not None and seen.policy is not Policy.JOIN:
        return faults.VOLUME_EMPTIED
    return None


def _policy(seen: Observation) -> Fault | None:
    return {Policy.NEVER: faults.VOLUME_EMPTY, Policy.JOIN: faults.AWAITING_JOIN}.get(seen.policy)


def _unfit(seen: Observation) -> Fault | None:
    """Whether a key made here would last."""
    if not (seen.survey.mounted or seen.allow_unmounted):
        return faults.VOLUME_NOT_MOUNTED
    if not seen.survey.writable:
        return faults.VOLUME_READ_ONLY
    return faults.SLOT_ALONE if seen.alone else None
