"""The seam for eyes: facts that calls, keeper and commit tell, and who hears them.

To hear them, be an Observer and stand in the row that assembly.py makes. Facts carry no payload and no
secret; seconds are wall time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from appliance.faults import Fault

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Called(NamedTuple):  # one for every request: a frozen dataclass takes twice as long to make
    """A call of *method* was answered after *seconds*, or refused with *fault*, which *bug* may be behind.

    *uid* is the caller's own name of it, printable. *key_id* is told of what went well, *detail*, which is
    not for users, of what did not. *about* is what an operator asked for: the key, who, why, a dry run.
    *rpc* is the service's own name of the method: *method* may be the verb that an operator typed.
    """

    method: str
    seconds: float
    uid: str = ""
    key_id: str = ""
    fault: Fault | None = None
    detail: str = ""
    bug: Exception | None = None
    about: Mapping[str, object] = _NOTHING
    rpc: str = ""


@dataclass(frozen=True, slots=True)
class TokenOpened:
    """The token was opened, and every key proved, in *seconds*."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Switched:
    """Calls waited *seconds* for the token to go over to a newer *generation*."""

    generation: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stood:
    """How things stand went from *was* to *state*: why (None while all is well), and the key announced."""

    was: str
    state: str
    reason: Fault | None = None
    detail: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Remarked:
    """Somebody should look at *fault* while calls go on, or that is *over*; *was* and *state* as in Stood."""

    fault: Fault
    was: str
    state: str
    detail: str = ""
    over: bool = False


@dataclass(frozen=True, slots=True)
class Proved:
    """A round trip with the primary key, which that *engine* holds, came back, or did not for *fault*.

    *seconds* are 0 where it was part of an opening, and nobody looked at a clock.
    """

    engine: str
    seconds: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """*op*, which *by* asked for, made *generation* what holds now; the commit took *seconds*."""

    op: str
    by: str
    generation: int
    seconds: float


Event = Called | TokenOpened | Switched | Stood | Remarked | Proved | Committed


class Observer(Protocol):
    def observe(self, event: Event) -> None:
        """Hear of *event*. From any thread; must neither wait nor raise."""
        ...


@dataclass(frozen=True)
class Observers:
    """Several as one, in their order."""

    each: tuple[Observer, ...] = ()

    def observe(self, event: Event) -> None:
        for one in self.each:
            one.observe(event)


NOBODY = Observers()
