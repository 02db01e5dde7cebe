"""A finished count, read back from what `kleidi usage --output json` printed. Pure."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.stored import under_kms_v2
from appliance.usage.tally import SCHEMA

MAX_SIZE = 16 << 20  # bytes; a row has some 150, and a cluster some hundred rows


@dataclass(frozen=True)
class Counted:
    """*stored* are objects by key id of a KMS v2 provider; *key_id* is the only one counted, if not empty."""

    stored: Counter[str]
    rows: int
    damaged: int
    key_id: str
    complete: bool
    whole_cluster: bool

    @classmethod
    def parse(cls, document: bytes) -> "Counted":
        """Raises E-USAGE-INVALID."""
        try:
            return cls._of(json.loads(document))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            # What is not a count may be anything, so nothing of it is shown but a key's name.
            words = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            raise KleidiError(faults.USAGE_INVALID, words) from error

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> "Counted":
        if fields["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        whole_cluster = fields.get("whole_cluster") is True
        stored: Counter[str] = Counter()
        for row in fields["rows"]:
            number = _number(row["objects"])
            if under_kms_v2(row["kind"], row["provider"]) and row["key_id"]:
                stored[str(row["key_id"])] += number
        return cls(
            stored,
            len(fields["rows"]),
            _number(fields["damaged"] if whole_cluster else fields.get("damaged", 0)),
            str(fields["key_id"]),
            fields["complete"] is True,
            whole_cluster,
        )


def _number(found: object) -> int:
    if type(found) is not int or found < 0:
        raise ValueError("a number of objects is not one")
    return found
