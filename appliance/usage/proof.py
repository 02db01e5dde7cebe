"""What a finished count proves about one key. Pure."""

from dataclasses import dataclass

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.counted import Counted


@dataclass(frozen=True)
class Proof:
    """*objects* is None when it proves nothing, and *doubt* says why."""

    objects: int | None
    doubt: str = ""


def stored_under(document: bytes, key_id: str) -> Proof:
    """Objects under *key_id* in what `kleidi usage --output json` printed. Raises E-USAGE-INVALID.

    A count that is not of a whole cluster, or that met damaged objects, is no proof of absence.
    """
    counted = Counted.parse(document)
    if counted.key_id not in ("", key_id):
        raise KleidiError(faults.USAGE_INVALID, f"it was counted for {counted.key_id} alone")
    found = counted.stored[key_id]
    doubt = "" if found else _doubt(counted)
    return Proof(None if doubt else found, doubt)


def _doubt(counted: Counted) -> str:
    objects = "1 object" if counted.damaged == 1 else f"{counted.damaged} objects"
    doubts = {
        "the count did not come to its end": not counted.complete,
        f"{objects} could not be read": counted.damaged,
        "not a whole cluster was counted, for there is no namespace in it": not counted.whole_cluster,
    }
    return "; ".join(words for words, holds in doubts.items() if holds)
