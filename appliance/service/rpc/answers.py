"""The one table from faults to gRPC, and the few words that go with them.

The API server copies these words into its log and even into users' replies, so they
come from the closed vocabulary of appliance/faults, with the caller's own uid and nothing else.
"""

from enum import IntEnum

from appliance.faults import Fault, Kind


class Code(IntEnum):
    """gRPC's status codes, as far as we give them (grpc/grpc, doc/statuscodes.md)."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15


_CODES = {
    Kind.CONFIGURATION: Code.INTERNAL,
    Kind.MALFORMED: Code.INVALID_ARGUMENT,
    Kind.UNKNOWN_KEY: Code.NOT_FOUND,
    Kind.TAMPERED: Code.DATA_LOSS,
    Kind.KEY_OFF: Code.FAILED_PRECONDITION,
    Kind.WAITING: Code.UNAVAILABLE,
    Kind.DEGRADED: Code.UNAVAILABLE,
    Kind.WARNING: Code.UNAVAILABLE,
    Kind.WRONG: Code.FAILED_PRECONDITION,
    Kind.REFUSED: Code.FAILED_PRECONDITION,
    Kind.GONE: Code.DEADLINE_EXCEEDED,
    Kind.OVERLOAD: Code.RESOURCE_EXHAUSTED,
    Kind.BUG: Code.INTERNAL,
}
_UID_SIZE = 64


def code(fault: Fault) -> Code:
    return _CODES[fault.kind]


def text(fault: Fault, uid: str = "", said: str = "") -> str:
    """The fault's own words, what else may be said, and the caller's uid."""
    return " ".join(part for part in (str(fault), said and f"{said}.", uid and f"uid={uid}") if part)


def printable(uid: str) -> str:
    """A caller's uid, fit for a log line and a header: the API server's is a UUID."""
    short = uid[:_UID_SIZE]
    if short.isascii() and short.isprintable():
        return short
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in short)
