"""The limits that every transport keeps, and those in our own words: what a caller sees at each, and why.

Streams times connections times bytes is what callers can make us hold, in a pod of 384 MiB, and none of
the three can be small enough alone. So few calls wait to be looked at, little is read of one ahead of that,
and nothing is taken that is much larger than the largest request there is.
"""

from dataclasses import dataclass

from appliance import faults
from appliance.faults import Fault
from appliance.service.rpc import answers

_KIB = 1024
# What the three methods take. The API server's largest request is some 34 KiB: ciphertext and key id 1 KiB
# each, annotations 32 KiB. The transport takes in somewhat more, so that a refusal is in our own words.
REQUEST = 40 * _KIB
MESSAGE = 64 * _KIB
# Requests that are partly here. Times MESSAGE: 16 MiB.
ARRIVING = 256
# What operators send by hand: a bundle of 8 MiB at most, and what is around it.
BY_HAND = 9 * _KIB * _KIB
CONNECTIONS = 1088
METADATA = 12 * _KIB
STREAMS = 256


@dataclass(frozen=True)
class Limit:
    """One of a transport's; without a *value* it is left at the *default* that is told here."""

    name: str
    value: int | None
    seen: str
    why: str
    default: str = ""


def ours(queue: int) -> tuple[tuple[str, str, str, str], ...]:
    """Name, value, what a caller sees, why: what is refused in our own words."""
    return (
        (
            "a request",
            f"{REQUEST:,} bytes",
            _says(faults.REQUEST_INVALID),
            "the API server's largest is some 34 KiB",
        ),
        (
            "requests that are only partly here",
            f"{ARRIVING:,}",
            f"the oldest of them: {_says(faults.REQUEST_UNFINISHED)}",
            "each may hold as many bytes as a message may have; one that was sent is here at once",
        ),
        (
            "calls that wait for the token, `KLEIDI_QUEUE_SIZE`",
            f"{queue:,}",
            _says(faults.QUEUE_FULL),
            "all that is below waits, for `KLEIDI_CALL_SECONDS`; Status never does",
        ),
    )


def _says(fault: Fault) -> str:
    return f"`{answers.code(fault).name}` {fault}"
