"""What is told of a count, for people and for programs: `kleidi usage`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

from appliance import screen
from appliance.documents import Document
from appliance.keys.engine import SOFTHSM
from appliance.usage.stored import Kind, under_kms_v2
from appliance.usage.tally import SCHEMA, Tally

_LEAST = 0.1  # per cent, of those that are shown as a number
_NO_NAMESPACES = "None of them is a namespace, and every cluster has some: this is not a whole cluster."


class KnownKey(NamedTuple):
    """A key that this node's server knows: its name, its state, and what holds it."""

    name: str
    state: str
    engine: str


@dataclass(frozen=True)
class CountRow:
    """Objects of one resource that were encrypted in one way."""

    resource: Annotated[str, "as in the API's paths: secrets, configmaps, …"]
    kind: Annotated[Kind, "the provider's kind, or identity, foreign, damaged"]
    provider: Annotated[str, "its name in the EncryptionConfiguration, where it has one"]
    key_id: Annotated[str, "the key's id, or its name there; empty where nothing is encrypted"]
    objects: Annotated[int, "how many"]


@dataclass(frozen=True)
class Sum:
    """Objects of all resources under one key."""

    kind: Annotated[Kind, "as in the rows"]
    provider: Annotated[str, "as in the rows"]
    key_id: Annotated[str, "as in the rows"]
    key: Annotated[str, "v1, v2, … where this node's server knows the key"]
    state: Annotated[str, "primary, retired, … where it knows the key"]
    engine: Annotated[str, "what holds it, where it knows the key"]
    objects: Annotated[int, "how many"]

    @property
    def under(self) -> str:
        if self.kind is Kind.IDENTITY:
            return "not encrypted"
        # Where SoftHSM holds it, nobody has to be told.
        where = "" if self.engine in ("", SOFTHSM) else f", {self.engine}"
        known = f"{self.key} ({self.state}{where})" if self.key else self.kind.value
        return " ".join(filter(None, (known, *([] if self.key else [self.provider]), self.key_id)))


@dataclass(frozen=True)
class Count(Document):
    """Which stored objects are encrypted under which key."""

    schema: ClassVar[str] = SCHEMA
    printed_by: ClassVar[str] = "kleidi usage"

    prefix: Annotated[str, "what was read: all below it"]
    revision: Annotated[int, "etcd's, at which all of it was read"]
    complete: Annotated[bool, "whether everything was read"]
    whole_cluster: Annotated[bool, "whether it can be a whole cluster: it has namespaces"]
    objects: Annotated[int, "all that were read"]
    damaged: Annotated[int, "those that the API server cannot read"]
    key_id: Annotated[str, "the only key id that was asked for; empty for all"]
    objects_under: Annotated[int | None, "objects under it; null when none was asked for"]
    rows: Annotated[list[CountRow], "by resource, kind, provider and key id"]
    sums: Annotated[list[Sum], "the same over all resources, the most first"] = field(default_factory=list)

    @classmethod
    def of(cls, tally: Tally, key_id: str = "", known: Mapping[str, KnownKey] | None = None) -> "Count":
        """Of *key_id* alone where one is given; *known* are the server's keys by their ids."""
        rows = tally.under_key(key_id) if key_id else tally.rows
        return cls(
            tally.prefix,
            tally.revision,
            tally.complete,
            tally.whole_cluster,
            tally.objects,
            tally.damaged,
            key_id,
            tally.objects_under(key_id) if key_id else None,
            [CountRow(*row, count) for row, count in sorted(rows.items())],
            _sums(tally, known or {}),
        )

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        rows = [
            (each.resource, each.kind.value, each.provider, f"{each.objects:,}", each.key_id)
            for each in self.rows
        ]
        lines = _table(("RESOURCE", "KIND", "PROVIDER", "OBJECTS", "KEY"), rows, columns) if rows else []
        if len(self.sums) > 1 and not self.key_id:
            shares = [
                (f"{each.objects:,}", _share(each.objects, self.objects), each.under) for each in self.sums
            ]
            lines += ["", *_table(("OBJECTS", "SHARE", "UNDER"), shares, columns), ""]
        lines.append(f"{self.objects:,} objects at revision {self.revision}.")
        if self.key_id:
            lines.append(f"{self.objects_under:,} of them are under {screen.safe(self.key_id)}.")
        if self.damaged:
            lines.append(f"{self.damaged:,} of them are damaged: the API server cannot read them.")
        if not self.whole_cluster:
            lines.append(_NO_NAMESPACES)
        if not self.complete:
            lines.append("INCOMPLETE: not everything was read.")
        return "\n".join(lines)


def _sums(tally: Tally, known: Mapping[str, KnownKey]) -> list[Sum]:
    found: Counter[tuple[Kind, str, str]] = Counter()
    for row, count in tally.rows.items():
        found[row.kind, row.provider, row.key_id] += count
    sums = []
    for (kind, provider, key_id), count in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        ours = known.get(key_id) if under_kms_v2(kind, provider) else None
        sums.append(Sum(kind, provider, key_id, *(ours or ("", "", "")), count))
    return sums


def _share(part: int, whole: int) -> str:
    """`< 0.1 %` is not nothing: whoever looks for the last object must see that there is one."""
    share = 100 * part / whole
    return "< 0.1 %" if share < _LEAST else f"{share:.1f} %"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], columns: int) -> list[str]:
    shown = [tuple(screen.safe(cell) or "-" for cell in row) for row in rows]
    return screen.table(head, shown, columns, numbers=("OBJECTS", "SHARE"))
