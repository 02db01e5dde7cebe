"""What each key was used for, and how long the appliance has served: a clock that nobody can set."""

import contextlib
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance import regular
from appliance.keys.keyset import KeySet, Moment
from appliance.volume import durable

SCHEMA = "kleidi.ledger/v1"
_MAX_SIZE = 16 << 20  # bytes, some hundred for each key


@dataclass
class Use:
    """Counts since the first boot of this node. *last_unwrapped* is in seconds served."""

    wrapped: int = 0
    unwrapped: int = 0
    last_unwrapped: int = 0


class Ledger:
    """Kept in memory, saved now and then; what a crash loses is the last minute.

    Losing the whole file makes waiting times begin anew, which is the safe way to be wrong.
    Counted by one thread; any may look.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._loaded = False
        self._before = 0
        self._started = time.monotonic()
        self._uses: dict[str, Use] = defaultdict(Use)

    def take_up(self, keyset: KeySet) -> None:
        """Go on from what was saved, the first time; what cannot be read counts as nothing.

        To be called before anything is counted. Time served never falls behind what *keyset* remembers
        of it: with the file lost, or on another node, waiting would last as long again as all before it.
        """
        if not self._loaded:
            self._load()
            self._loaded = True
        self._before += max(0, *(key.since.served - self.served for key in keyset.keys))

    def _load(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            fields = json.loads(regular.read(self._path, _MAX_SIZE)) if self._path else {}
            if fields.get("schema") == SCHEMA:
                served = int(fields["served_seconds"])
                uses = {name: Use(**use) for name, use in fields["keys"].items()}
                self._before += served
                self._uses.update(uses)

    def save(self) -> None:
        """Raises OSError when the volume cannot take it."""
        self.write(self.to_json())

    def to_json(self) -> bytes:
        keys = {name: asdict(use) for name, use in self._uses.items()}
        fields = {"schema": SCHEMA, "served_seconds": self.served, "keys": keys}
        return json.dumps(fields, indent=1).encode() + b"\n"

    def write(self, content: bytes) -> None:
        """Raises OSError; waits for the disk."""
        if self._path is not None:
            durable.write(self._path, content, 0o600)

    @property
    def served(self) -> int:
        """Seconds since the first boot of this node, without those in which nothing served."""
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
