"""What a fault is: whose trouble, which exit code, what to say and what to do."""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0
    ERROR = 1
    USAGE = 2
    SEALED = 3
    UNPROVISIONED = 4
    REFUSED = 5
    WRONG_KEY = 6
    INTEGRITY = 7
    BUSY = 8
    UNREACHABLE = 9
    DEGRADED = 10


class Kind(Enum):
    """Whose trouble a fault is, and whether it may heal."""

    CONFIGURATION = "configuration that cannot work"
    MALFORMED = "the caller's request is not one we take"
    UNKNOWN_KEY = "the caller names a key we do not hold"
    TAMPERED = "the caller's ciphertext is not what a key of ours made"
    KEY_OFF = "the named key was switched off by an operator"
    WAITING = "not able yet; may heal by itself or by the remedy"
    DEGRADED = "able, but a call may fail"
    WARNING = "able, and every call works, but somebody should look"
    WRONG = "must not be served from: other data, other keys"
    REFUSED = "an operator's command that would do harm, or cannot be done now"
    GONE = "nobody waits for the answer any more"
    OVERLOAD = "more calls wait than are kept"
    BUG = "a mistake of ours"


@dataclass(frozen=True)
class Fault:
    id: str
    kind: Kind
    exit: Exit
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.id}: {self.words}"

    @property
    def words(self) -> str:
        """The same where the id stands by itself."""
        return f"{self.sentence}. {self.remedy}."


class KleidiError(Exception):
    """A fault that happened, with the *detail* that only our own log and terminal see.

    *said* is what may leave the process beside the fault's own words: a date, never a path or a message.
    """

    def __init__(self, fault: Fault, detail: str = "", *, said: str = "") -> None:
        # It may come from a file name, a library or another process, and stays one line of text.
        detail = detail if detail.isprintable() else ascii(" ".join(detail.split()))
        self.fault = fault
        self.detail = detail or said
        self.said = said
        super().__init__(f"{fault} ({detail})" if detail else str(fault))

    @property
    def brief(self) -> str:
        """Within another fault's detail: one line has one remedy."""
        return f"{self.fault.id}, {self.fault.sentence}" + (f", {self.detail}" if self.detail else "")


_ALL: dict[str, Fault] = {}


def fault(name: str, kind: Kind, exits: Exit, sentence: str, remedy: str) -> Fault:
    return _ALL.setdefault(name, Fault(name, kind, exits, sentence, remedy))


def named(name: str) -> Fault | None:
    """The fault of this id, if this version knows it."""
    return _ALL.get(name)


def every() -> list[Fault]:
    """All faults, in the order of the tables."""
    return list(_ALL.values())
