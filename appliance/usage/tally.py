"""How many stored objects are encrypted how: counting and adding up. Pure."""

from collections import Counter
from typing import NamedTuple

from appliance.usage import path, stored
from appliance.usage.names import Agreement
from appliance.usage.stored import Kind

SCHEMA = "kleidi.usage/v1"


class Row(NamedTuple):
    resource: str
    kind: Kind
    provider: str
    key_id: str


class Tally:
    """Counts grow with *add*; *complete* only with *finish*, which is for whoever read everything."""

    def __init__(self, prefix: str = "/registry") -> None:
        self.prefix = path.joined(prefix)
        self.revision = 0
        self.complete = False
        self.counts: Counter[Row] = Counter()
        self.names = Agreement()
        self._under = path.directory(prefix)

    def add(self, key: bytes, value: bytes) -> None:
        (kind, provider, key_id), longer = stored.readings(value)
        self.counts[Row(path.resource(key, self._under), kind, provider, key_id)] += 1
        self.names.add(kind, key_id or provider, longer)

    def finish(self, revision: int) -> None:
        """All was read, as it stood at etcd's *revision*."""
        self.revision = revision
        self.complete = True

    def merge(self, other: "Tally") -> None:
        """Take in what another etcd of the same cluster holds (`--etcd-servers-overrides`)."""
        self.counts.update(other.counts)
        self.names.merge(other.names)
        self.complete = self.complete and other.complete

    @property
    def rows(self) -> Counter[Row]:
        """Each with the name that all objects agree on, where a stored value alone leaves it open."""
        found: Counter[Row] = Counter()
        for row, count in self.counts.items():
            found[self._agreed(row)] += count
        return found

    def _agreed(self, row: Row) -> Row:
        if row.kind is Kind.KMS_V1:
            return row._replace(provider=self.names.name(row.kind, row.provider))
        return row._replace(key_id=self.names.name(row.kind, row.key_id))

    @property
    def objects(self) -> int:
        return self.counts.total()

    @property
    def damaged(self) -> int:
        """Objects that cannot be told to be free of a key: nobody can decrypt them as they are."""
        return sum(count for row, count in self.rows.items() if row.kind is Kind.DAMAGED)

    @property
    def whole_cluster(self) -> bool:
        """Whether it can be one: a dump of `/registry/secrets` alone proves nothing about the rest."""
        return any(row.resource == "namespaces" for row in self.rows)

    @property
    def stored(self) -> Counter[str]:
        """Objects by key id of a KMS v2 provider."""
        found: Counter[str] = Counter()
        for row, count in self.rows.items():
            if row.key_id and stored.under_kms_v2(row.kind, row.provider):
                found[row.key_id] += count
        return found

    @property
    def by_key(self) -> Counter[tuple[str, str, bool]]:
        """Objects by resource, key id of a KMS v2 provider or none, and whether anything encrypted them."""
        found: Counter[tuple[str, str, bool]] = Counter()
        for row, count in self.rows.items():
            key_id = row.key_id if stored.under_kms_v2(row.kind, row.provider) else ""
            found[row.resource, key_id, row.kind is not Kind.IDENTITY] += count
        return found

    def objects_under(self, key_id: str) -> int:
        return sum(self.under_key(key_id).values())

    def under_key(self, key_id: str) -> Counter[Row]:
        """The rows of this key alone."""
        rows = self.rows.items()
        return Counter(
            {r: n for r, n in rows if r.key_id == key_id and stored.under_kms_v2(r.kind, r.provider)}
        )
