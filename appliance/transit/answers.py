"""What an answer means: the table of outcomes, by status and by the few texts that stand for something.

The texts are those of OpenBao 2.7 (and of Vault 1.14, read in its source). Where a text is not known, the
status decides; nothing but a DONE ever gives bytes.
"""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from appliance import faults
from appliance.faults import Fault
from appliance.keys.engine import AwayError, EngineError, OffError, TamperedError


class Outcome(Enum):
    DONE = "it is done"
    SEALED = "sealed"
    AWAY = "not able to answer now"
    TLS = "not trusted"
    BUSY = "over its quota"
    DENIED = "denied"
    PLACE = "no such mount or namespace"
    GONE = "no such key"
    OFF = "the version is not used any more"
    TAG = "the tag does not fit"
    OURS = "the request is not as it should be"
    SHAPE = "not an answer of Transit's"
    OTHER = "a refusal that is not known"


# Another node may do better, or the same one in a moment; of SHAPE once.
AGAIN = {Outcome.SEALED, Outcome.AWAY, Outcome.TLS, Outcome.BUSY, Outcome.SHAPE}
# A node that was just started or has just lost its leader may not know yet what the others know: it is
# believed when no other node says better.
ELSEWHERE = {Outcome.DENIED, Outcome.PLACE, Outcome.GONE, Outcome.OFF}
FAULTS: Mapping[Outcome, Fault] = {
    Outcome.SEALED: faults.TRANSIT_SEALED,
    Outcome.AWAY: faults.TRANSIT_AWAY,
    Outcome.TLS: faults.TRANSIT_TLS,
    Outcome.BUSY: faults.TRANSIT_BUSY,
    Outcome.DENIED: faults.TRANSIT_DENIED,
    Outcome.PLACE: faults.TRANSIT_PLACE,
    Outcome.SHAPE: faults.TRANSIT_ANSWER,
    Outcome.OTHER: faults.TRANSIT_ANSWER,
    Outcome.GONE: faults.TRANSIT_KEY_GONE,
    Outcome.OFF: faults.TRANSIT_KEY_OFF,
}
_BAD_REQUEST = {
    "cipher: message authentication failed": Outcome.TAG,
    "key not found": Outcome.GONE,
    "version is too new": Outcome.OFF,
    "disallowed by policy (too old)": Outcome.OFF,
    "version is too old (disallowed by policy)": Outcome.OFF,
    "no such key version": Outcome.OFF,
    "key version does not exist": Outcome.OFF,
    "higher than the latest key version": Outcome.OFF,
    "less than the minimum encryption key version": Outcome.OFF,
    "soft-deleted key": Outcome.OFF,
    "failed to decode JSON input": Outcome.OURS,
    "failed to parse JSON input": Outcome.OURS,
}
_REDIRECT, _BAD, _NO_METHOD, _TOO_LARGE, _TOO_MANY, _SERVER = 300, 400, 405, 413, 429, 500
_FORBIDDEN, _NOT_FOUND, _UNAVAILABLE = 403, 404, 503
_LONGEST = 160


class CallError(Exception):
    """A call without bytes. *said* is for our own log: whose words they are, it does not say."""

    def __init__(self, outcome: Outcome, said: str = "") -> None:
        super().__init__(f"{outcome.value} {said}".strip())
        self.outcome = outcome
        self.said = said

    def as_engine(self) -> EngineError:
        """As the port has it. Raises RuntimeError of what is a mistake of ours."""
        if self.outcome is Outcome.TAG:
            return TamperedError("the tag does not fit")
        if self.outcome is Outcome.OURS:
            raise RuntimeError("Transit does not understand the request") from None
        kind = OffError if self.outcome in (Outcome.GONE, Outcome.OFF) else AwayError
        return kind(FAULTS[self.outcome], self.said)


def parsed(data: bytes) -> dict[str, Any] | None:
    """The JSON object that it is; None for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def judged(status: int, body: Mapping[str, Any] | None) -> Outcome:  # noqa: PLR0911  a table
    """*body* is None where it is no JSON object, or where there is none."""
    if status < _REDIRECT:
        return Outcome.SHAPE if body is None and status != 204 else Outcome.DONE  # noqa: PLR2004  no content
    said = " ".join(complaints(body))
    if status == _UNAVAILABLE and "is sealed" in said:
        return Outcome.SEALED
    # A redirect would be followed with the token in hand, so it is not.
    if status < _BAD or status >= _SERVER:
        return Outcome.AWAY
    if status == _TOO_MANY:
        return Outcome.BUSY
    if status in (_NO_METHOD, _TOO_LARGE):
        return Outcome.OURS
    if body is None or "errors" not in body:
        # In one batch with others that failed, each has its own result.
        batch = status == _BAD and isinstance((body or {}).get("data"), dict)
        return Outcome.DONE if batch and "batch_results" in (body or {})["data"] else Outcome.OTHER
    if status == _FORBIDDEN:
        return Outcome.DENIED
    if status == _NOT_FOUND:
        return Outcome.PLACE if said else Outcome.GONE
    return meant(said) if status == _BAD else Outcome.OTHER


def meant(said: str) -> Outcome:
    """By the text of a refusal with status 400."""
    return next((outcome for text, outcome in _BAD_REQUEST.items() if text in said), Outcome.OTHER)


def complaints(body: Mapping[str, Any] | None) -> list[str]:
    found = (body or {}).get("errors")
    return [str(each) for each in found] if isinstance(found, list) else []


def quoted(body: Mapping[str, Any] | None, secrets: tuple[str, ...]) -> str:
    """The server's own words for our log, bounded; nothing of one that throws a secret back at us."""
    said = "; ".join(" ".join(each.split()) for each in complaints(body))
    if any(secret and secret in said for secret in secrets):
        return "its words are not shown"
    return ascii(said[:_LONGEST])[1:-1]
