"""What is told of keys, for people and for programs: `kleidi key list` and `kleidi key check`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from appliance import screen
from appliance.client.report import KeyRow
from appliance.documents import Document
from appliance.keys.engine import SOFTHSM
from appliance.ops.check import Condition, Judgement, Verdict

_COLOURS = {
    Verdict.PASS: screen.Colour.GOOD,
    Verdict.UNKNOWN: screen.Colour.DOUBTFUL,
    Verdict.FAIL: screen.Colour.BAD,
}


@dataclass(frozen=True)
class KeyList(Document):
    """Every key with its state, and how often this node used it."""

    schema: ClassVar[str] = "kleidi.key-list/v1"
    printed_by: ClassVar[str] = "kleidi key list"

    keys: Annotated[list[KeyRow], "oldest first"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        # Where SoftHSM holds them all, nobody has to be told.
        engines = any(row.engine != SOFTHSM for row in self.keys)
        head = ("KEY", "STATE", "SINCE", *(["ENGINE"] if engines else []), "ENC", "DEC", "KEY ID")
        cells = (_cells(row, engines=engines) for row in self.keys)
        return "\n".join(screen.table(head, cells, columns, numbers=("ENC", "DEC")))


def _cells(row: KeyRow, *, engines: bool) -> tuple[str, ...]:
    since = screen.day(row.since) if row.since else "unknown"
    state = f"{row.state}, adopted" if row.adopted else row.state
    engine = [row.engine] if engines else []
    return row.name, state, since, *engine, f"{row.wrapped:,}", f"{row.unwrapped:,}", row.key_id


@dataclass(frozen=True)
class KeyCheck(Document):
    """Whether it is safe to do without a key, and what the verbs that do would say now."""

    schema: ClassVar[str] = "kleidi.key-check/v1"
    printed_by: ClassVar[str] = "kleidi key check"

    key_id: Annotated[str, "the key that was asked about"]
    conditions: Annotated[list[Condition], "each by itself"]
    may_disable: Annotated[bool, "whether `kleidi key disable` would be carried out now"]
    disable_why: Annotated[str, "why not, or which conditions were of no regard"]
    may_destroy: Annotated[bool, "whether `kleidi key destroy` would be carried out now"]
    destroy_why: Annotated[str, "why not, or which conditions were of no regard"]

    @classmethod
    def of(
        cls, key_id: str, found: Iterable[Condition], disable: Judgement, destroy: Judgement
    ) -> "KeyCheck":
        return cls(key_id, [*found], disable.allowed, disable.why, destroy.allowed, destroy.why)

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        lines = [self.key_id]
        for one in self.conditions:
            first, *more = screen.rows([(f"  {one.verdict:8} {one.name}", one.text)], columns, label=26)
            shown = screen.coloured(one.verdict, _COLOURS[one.verdict])
            lines += [first.replace(one.verdict, shown, 1), *more]
        answers = [
            ("  may disable:", _answer(self.may_disable, self.disable_why)),
            ("  may destroy:", _answer(self.may_destroy, self.destroy_why)),
        ]
        lines += screen.rows(answers, columns, label=14)
        return "\n".join(lines)


def _answer(allowed: bool, why: str) -> str:
    if not why:
        return "yes" if allowed else "no"
    return f"yes, {why}" if allowed else f"no: {why}"
