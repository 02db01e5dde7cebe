"""What `kleidi usage` counted in etcd last, and handed over: the server itself never sees etcd."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from appliance.key_hash import digest
from appliance.service.metrics import table
from appliance.service.metrics.table import Sample

# Whatever is in etcd: no more names than these become labels, those of the most objects.
MOST_RESOURCES = 64
MOST_KEYS = 64
OTHER = "other"


class Counted(NamedTuple):
    """*objects* of one resource; of what no KMS v2 provider encrypted the *key_id* is empty."""

    resource: str
    key_id: str
    encrypted: bool
    objects: int


class StoredObjects:
    """The last count, since this process started."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._at = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()

    def take(self, rows: Iterable[Counted]) -> None:
        """In place of what was counted before."""
        rows = list(rows)
        resources = _most(MOST_RESOURCES, ((row.resource, row.objects) for row in rows))
        keys = _most(MOST_KEYS, ((row.key_id, row.objects) for row in rows if row.key_id))
        counts: Counter[tuple[str, str]] = Counter()
        for row in rows:
            resource = row.resource if row.resource in resources else OTHER
            if row.key_id:
                under = digest(row.key_id) if row.key_id in keys else OTHER
            else:
                under = OTHER if row.encrypted else ""
            counts[resource, under] += row.objects
        self._counts, self._at = counts, self._clock()

    def samples(self) -> Iterator[Sample]:
        for labels, number in self._counts.items():
            yield Sample(table.STORED, number, labels)
        if self._at:
            yield Sample(table.STORED_COUNTED, self._at)


def _most(number: int, counted: Iterable[tuple[str, int]]) -> set[str]:
    found: Counter[str] = Counter()
    for name, count in counted:
        found[name] += count
    return {name for name, _ in found.most_common(number)}
