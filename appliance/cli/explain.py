"""`kleidi explain ID`: what the runbook says of a fault; no server, settings, network or root needed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from appliance import faults, screen
from appliance.cli.options import Output, Printed, tell
from appliance.documents import Document
from appliance.faults import KleidiError

if TYPE_CHECKING:  # no other verb pays for the runbook
    from appliance.runbook import Entry


@dataclass(frozen=True)
class ExplainedRow:
    """What the runbook says of one fault."""

    id: Annotated[str, "the fault's stable id"]
    room: Annotated[str, "what it belongs to"]
    kind: Annotated[str, "whose trouble it is, and whether it may heal"]
    exit: Annotated[int, "the exit code of a command that ends with it"]
    message: Annotated[str, "what is wrong"]
    felt: Annotated[str, "what the API server and the cluster feel"]
    look: Annotated[list[str], "commands that show more"]
    do: Annotated[list[str], "steps, the remedy first"]
    wake: Annotated[str, "`page now`, `look today` or `never`"]
    when: Annotated[str, "what narrows that down; empty when nothing does"]

    @classmethod
    def of(cls, found: "Entry") -> "ExplainedRow":
        fault = found.fault
        return cls(
            fault.id,
            found.room,
            fault.kind.value,
            fault.exit.value,
            fault.sentence,
            found.felt,
            list(found.look),
            list(found.do),
            found.wake.value,
            found.when,
        )

    @property
    def woken(self) -> str:
        return f"{self.wake}, {self.when}" if self.when else self.wake

    def lines(self, columns: int) -> list[str]:
        steps = [_sentence(self.do[0])]
        if self.do[1:]:
            steps = [f"{number}. {_sentence(step)}" for number, step in enumerate(self.do, 1)]
        pairs = [
            ("what", _sentence(self.message)),
            ("felt", _sentence(self.felt)),
            *_under("look", self.look),
            *_under("do", steps),
            ("wake", _sentence(self.woken)),
            ("exit code", f"{self.exit}, {self.kind}"),
        ]
        return [self.id, *screen.rows(pairs, columns)]


@dataclass(frozen=True)
class Explained(Document):
    """What the runbook says: of the fault that was named, else of all."""

    schema: ClassVar[str] = "kleidi.explain/v1"
    printed_by: ClassVar[str] = "kleidi explain"

    faults: Annotated[list[ExplainedRow], "in the order of docs/errors.md"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        if len(self.faults) == 1:
            return "\n".join(self.faults[0].lines(columns))
        rooms: dict[str, list[str]] = {}
        for each in self.faults:
            rooms.setdefault(each.room, []).append(each.id)
        lines = []
        for room, ids in rooms.items():
            lines += ["", room, *screen.rows([("", " ".join(ids))], columns, label=1)]
        return "\n".join(lines[1:])


_Id = Annotated[
    str, typer.Argument(metavar="ID", help="As it stands behind what failed; its E- may be left out.")
]


def explain(fault: _Id = "", *, output: Printed = Output.TEXT) -> None:
    """What an id means: what is felt, where to look, what to do, when to wake somebody; alone, all ids."""
    tell(explained(fault), output)


def explained(typed: str) -> Explained:
    """What is said of the fault that was *typed*; empty stands for all."""
    from appliance.runbook import entries, entry, near

    if not typed:
        return Explained([ExplainedRow.of(each) for each in entries()])
    found = entry(typed)
    if found is None:
        meant = ", ".join(near(typed)) or "see `kleidi explain`"
        raise KleidiError(faults.COMMAND_LINE, f"there is no id {screen.safe(typed)}; near it: {meant}")
    return Explained([ExplainedRow.of(found)])


def _under(label: str, lines: list[str]) -> list[tuple[str, str]]:
    """Each with its own beginning, the first behind *label*."""
    return [("" if number else label, line) for number, line in enumerate(lines)]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
