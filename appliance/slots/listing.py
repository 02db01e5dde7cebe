"""Which slots the newest generation has: all of it stands in its header, so nothing has to be open."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from appliance.volume.opening import Storage
from appliance.volume.slot import Slot

# Of one file only: what wraps that file's key.
_WRAPPED = ("nonce", "wrapped")


@dataclass(frozen=True)
class Row:
    """*configured* is the slot that the appliance opens by itself with; *tested* is in Unix seconds."""

    name: Annotated[str, "as `kleidi slot test` and `remove` take it"]
    kind: Annotated[str, "what its secret is: file, passphrase, recovery, …"]
    values: Annotated[Mapping[str, str], "what the seal knows of it, none of it secret"]
    tested: Annotated[int, "when it was proved last, in Unix seconds; 0 for never"] = 0
    configured: Annotated[bool, "whether the appliance opens by itself with it"] = False


def rows(storage: Storage) -> list[Row]:
    """Raises KleidiError when there is no seal to read."""
    header = storage.header(storage.sealed())
    return [_row(slot, storage.custody.opens_with(slot, header.context)) for slot in header.slots]


def _row(slot: Slot, configured: bool) -> Row:
    tested = slot.values.get("tested", "")
    return Row(
        slot.values.get("name", slot.kind),
        slot.kind,
        {name: value for name, value in slot.values.items() if name not in _WRAPPED},
        int(tested) if tested.isdigit() else 0,
        configured,
    )
