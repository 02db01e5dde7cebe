"""How many stored objects are encrypted how: counting, adding up, and showing it. Pure."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from appliance.usage import path, stored
from appliance.usage.names import Agreement
from appliance.usage.stored import Kind

SCHEMA = "kleidi.usage/v1"
_NO_NAMESPACES = "None of them is a namespace, and every cluster has some: this is not a whole cluster."


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

    def objects_under(self, key_id: str) -> int:
        return sum(self._under_key(key_id).values())

    def _under_key(self, key_id: str) -> Counter[Row]:
        rows = self.rows.items()
        return Counter(
            {r: n for r, n in rows if r.key_id == key_id and stored.under_kms_v2(r.kind, r.provider)}
        )

    def to_json(self, key_id: str = "") -> str:
        """Schema kleidi.usage/v1: fields may be added, never changed or taken away."""
        rows = self._under_key(key_id) if key_id else self.rows
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "prefix": self.prefix,
            "revision": self.revision,
            "complete": self.complete,
            "whole_cluster": self.whole_cluster,
            "objects": self.objects,
            "damaged": self.damaged,
            "key_id": key_id,
            "objects_under": self.objects_under(key_id) if key_id else None,
            "rows": [{**row._asdict(), "objects": count} for row, count in sorted(rows.items())],
        }
        return json.dumps(fields, indent=2)

    def to_text(self, key_id: str = "") -> str:
        rows = self._under_key(key_id) if key_id else self.rows
        cells = [(*map(_shown, row), f"{count:,}") for row, count in sorted(rows.items())]
        lines = _table(("RESOURCE", "KIND", "PROVIDER", "KEY", "OBJECTS"), cells) if cells else []
        lines.append(f"{self.objects:,} objects at revision {self.revision}.")
        if key_id:
            lines.append(f"{self.objects_under(key_id):,} of them are under {_shown(key_id)}.")
        if self.damaged:
            lines.append(f"{self.damaged:,} of them are damaged: the API server cannot read them.")
        if not self.whole_cluster:
            lines.append(_NO_NAMESPACES)
        if not self.complete:
            lines.append("INCOMPLETE: not everything was read.")
        return "\n".join(lines)


def _shown(text: str) -> str:
    """Names come from stored bytes: nothing in them may move the cursor."""
    safe = text if text.isprintable() else ascii(text)[1:-1]
    return safe or "-"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for *names, count in rows:
        left = (name.ljust(width) for name, width in zip(names, widths, strict=False))
        lines.append("  ".join([*left, count.rjust(widths[-1])]))
    return lines
