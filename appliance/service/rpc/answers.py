"""The one table from faults to gRPC, and the few words that go with them.

The API server copies these words into its log and even into users' replies, so they
come from the closed vocabulary of appliance/faults, with the caller's own uid and nothing else.
"""

import grpc

from appliance.faults import Fault, Kind

_CODES = {
    Kind.CONFIGURATION: grpc.StatusCode.INTERNAL,
    Kind.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNKNOWN_KEY: grpc.StatusCode.NOT_FOUND,
    Kind.TAMPERED: grpc.StatusCode.DATA_LOSS,
    Kind.KEY_OFF: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.WAITING: grpc.StatusCode.UNAVAILABLE,
    Kind.DEGRADED: grpc.StatusCode.UNAVAILABLE,
    Kind.WARNING: grpc.StatusCode.UNAVAILABLE,
    Kind.WRONG: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.GONE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.OVERLOAD: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.BUG: grpc.StatusCode.INTERNAL,
}
_UID_SIZE = 64


def code(fault: Fault) -> grpc.StatusCode:
    return _CODES[fault.kind]


def text(fault: Fault, uid: str = "", said: str = "") -> str:
    """The fault's own words, what else may be said, and the caller's uid."""
    return " ".join(part for part in (str(fault), said and f"{said}.", uid and f"uid={uid}") if part)


def printable(uid: str) -> str:
    """A caller's uid, fit for a log line and a header: the API server's is a UUID."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in uid[:_UID_SIZE])
