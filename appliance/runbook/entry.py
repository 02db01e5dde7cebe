"""What the runbook says of one fault, and the parts that it is put together from."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType

from appliance.faults import Fault


class Wake(StrEnum):
    """Whether a person is needed, and how soon."""

    NOW = "page now"
    TODAY = "look today"
    NEVER = "never"


@dataclass(frozen=True)
class Effect:
    """What API server and cluster feel: *brief*, and as a *whole*. *when* narrows down *wake*."""

    brief: str
    whole: str
    wake: Wake
    when: str = ""


@dataclass(frozen=True)
class Advice:
    """What is said of one fault by hand. What is left empty comes from its room, its kind and its remedy.

    *look* are commands, *do* the steps behind the remedy.
    """

    effect: Effect | None = None
    felt: str = ""
    look: tuple[str, ...] = ()
    do: tuple[str, ...] = ()
    wake: Wake | None = None
    when: str = ""


@dataclass(frozen=True)
class Room:
    """The faults of one *table*, with what holds for all of them."""

    title: str
    table: ModuleType
    look: tuple[str, ...]
    advice: Mapping[Fault, Advice]


@dataclass(frozen=True)
class Entry:
    """All that the runbook says of *fault*. *effect* is None where *felt* is said of this fault alone."""

    fault: Fault
    room: str
    effect: Effect | None
    felt: str
    look: tuple[str, ...]
    do: tuple[str, ...]
    wake: Wake
    when: str
