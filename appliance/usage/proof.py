"""What a finished count proves about one key. Pure."""

import json

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.stored import Kind
from appliance.usage.tally import SCHEMA


def stored_under(document: str, key_id: str) -> int | None:
    """Objects under *key_id* in what `kleidi usage --output json` printed; None when it proves nothing.

    A count that is not of a whole cluster, or that met damaged objects, is no proof of absence.
    """
    try:
        fields = json.loads(document)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']}")
        if fields["key_id"] not in ("", key_id):
            raise ValueError(f"it was counted for {fields['key_id']} alone")
        kinds = (Kind.KMS_V2, Kind.DAMAGED)
        rows = [row for row in fields["rows"] if row["key_id"] == key_id and row["kind"] in kinds]
        found = sum(int(row["objects"]) for row in rows)
        whole = fields["complete"] and fields["whole_cluster"] and not fields["damaged"]
    except (KeyError, TypeError, ValueError) as error:
        raise KleidiError(faults.USAGE_INVALID, str(error)) from error
    return found if found or whole else None
