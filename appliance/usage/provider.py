"""What a finished count proves about everything that one provider encrypted. Pure."""

import json

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.stored import Kind
from appliance.usage.tally import SCHEMA

# What every key id of ours begins with (keys/key_id.py), under whatever provider's name it was stored.
_OURS = "kleidi/"


def stored_by(document: str, provider: str) -> int | None:
    """Objects of *provider*, or under a key id of ours, in what `kleidi usage --output json` printed.

    None when it proves nothing: it is not of a whole cluster, was made for one key alone, or met damage.
    """
    try:
        fields = json.loads(document)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']}")
        found = sum(
            int(row["objects"])
            for row in fields["rows"]
            if row["kind"] == Kind.KMS_V2 and (row["provider"] == provider or row["key_id"].startswith(_OURS))
        )
        whole = fields["complete"] and fields["whole_cluster"] and not fields["damaged"]
        whole = whole and not fields["key_id"]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise KleidiError(faults.USAGE_INVALID, str(error)) from error
    return found if found or whole else None
