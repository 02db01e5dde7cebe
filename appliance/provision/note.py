"""The provisioner's last refusal, left in memory for the server to tell: only one of the two meets it."""

import contextlib
import json
from pathlib import Path

from appliance import faults, regular
from appliance.faults import KleidiError
from appliance.provision.plan import Refusal
from appliance.volume import durable, memory

_NAME = ".refusal.json"
_MAX_SIZE = 64 * 1024  # bytes: a detail may name every stranger on a volume


def leave(base: Path, error: KleidiError) -> None:
    """Where even this cannot be written, the log has it."""
    said = json.dumps({"id": error.fault.id, "detail": error.detail}).encode()
    with contextlib.suppress(OSError, KleidiError):
        durable.write(memory.home(base) / _NAME, said, 0o600)


def clear(base: Path) -> None:
    with contextlib.suppress(OSError, KleidiError):
        (memory.home(base, make=False) / _NAME).unlink()


def read(base: Path) -> Refusal | None:
    with contextlib.suppress(OSError, KleidiError, ValueError, KeyError, TypeError, RecursionError):
        fields = json.loads(regular.read(memory.home(base, make=False) / _NAME, _MAX_SIZE))
        fault = faults.named(fields["id"])
        return Refusal(fault, str(fields["detail"])) if fault else None
    return None
