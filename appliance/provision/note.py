"""The provisioner's last refusal, left in memory for the server to tell: only one of the two meets it."""

import contextlib
import json
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.provision.plan import Refusal

_NAME = ".refusal.json"


def leave(directory: Path, error: KleidiError) -> None:
    """Where even this cannot be written, the log has it."""
    with contextlib.suppress(OSError):
        (directory / _NAME).write_text(json.dumps({"id": error.fault.id, "detail": error.detail}))


def clear(directory: Path) -> None:
    with contextlib.suppress(OSError):
        (directory / _NAME).unlink()


def read(directory: Path) -> Refusal | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        fields = json.loads((directory / _NAME).read_text())
        fault = faults.named(fields["id"])
        return Refusal(fault, str(fields["detail"])) if fault else None
    return None
