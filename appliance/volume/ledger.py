"""What each key was used for, and how long the appliance has served: a clock that nobody can set."""

import contextlib
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.keys.keyset import Moment
from appliance.volume import durable

SCHEMA = "kleidi.ledger/v1"


@dataclass
class Use:
    """Counts since the first boot of this node. *last_unwrapped* is in seconds served."""

    wrapped: int = 0
    unwrapped: int = 0
    last_unwrapped: int = 0


class Ledger:
    """Kept in memory, saved now and then; what a crash loses is the last minute.

    Losing the whole file makes waiting times begin anew, which is the safe way to be wrong.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._before = 0
        self._started = time.monotonic()
        self._uses: dict[str, Use] = defaultdict(Use)

    def load(self) -> None:
        """Go on from what was saved; what cannot be read counts as nothing."""
        self._before, self._started = 0, time.monotonic()
        self._uses.clear()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            fields = json.loads(self._path.read_bytes()) if self._path else {}
            if fields.get("schema") == SCHEMA:
                self._before = int(fields["served_seconds"])
                self._uses.update({name: Use(**use) for name, use in fields["keys"].items()})

    def save(self) -> None:
        """Raises OSError when the volume cannot take it."""
        if self._path is not None:
            keys = {name: asdict(use) for name, use in self._uses.items()}
            fields = {"schema": SCHEMA, "served_seconds": self.served, "keys": keys}
            durable.write(self._path, json.dumps(fields, indent=1).encode() + b"\n", 0o600)

    @property
    def served(self) -> int:
        return self._before + int(time.monotonic() - self._started)

    def now(self) -> Moment:
        return Moment(int(time.time()), self.served)

    def use(self, key_id: str) -> Use:
        return self._uses.get(key_id, Use())

    def wrapped(self, key_id: str) -> None:
        self._uses[key_id].wrapped += 1

    def unwrapped(self, key_id: str) -> None:
        use = self._uses[key_id]
        use.unwrapped += 1
        use.last_unwrapped = self.served
