"""`kleidi audit …`: the log of changes, read from the volume itself; asks no server and takes no lock."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import typer

from appliance import assembly, screen
from appliance.cli.help import Verbs
from appliance.cli.options import Output, Printed, tell
from appliance.documents import Document
from appliance.faults import KleidiError
from appliance.settings import Settings, load
from appliance.volume.audit import Chain, Head

app = Verbs("The log of changes: read it, and see that nobody changed it.")

# What has a column of its own; the rest is told in the last one.
_COLUMNS = ("seq", "time", "op", "phase", "generation", "by")


@dataclass(frozen=True)
class Verification(Document):
    """The log of changes is whole: every entry follows from the one before it."""

    schema: ClassVar[str] = "kleidi.audit-verify/v1"
    printed_by: ClassVar[str] = "kleidi audit verify"

    ok: Annotated[bool, "true; a log that is not whole is an error"]
    entries: Annotated[int, "how many there are here"]
    first: Annotated[int, "the number of the first of them"]
    missing_files: Annotated[int, "older files that were moved away"]
    head: Annotated[Head, "the last entry"]
    compared: Annotated[bool, "whether the seal told which entry must be there"]
    sealed: Annotated[Head | None, "that entry; null when it is not known"]
    why_not: Annotated[str, "why it is not known"]

    @classmethod
    def of(cls, chain: Chain, known: Head | None, unknown: str) -> "Verification":
        compared = known is not None
        return cls(True, chain.entries, chain.first, chain.missing, chain.head, compared, known, unknown)

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        said = f"ok, {self.entries} entries"
        if self.missing_files:
            files = "1 older file is" if self.missing_files == 1 else f"{self.missing_files} older files are"
            said += f" from entry {self.first} on ({files} not here)"
        if self.sealed is None:
            said += f"; not compared with the seal: {self.why_not}"
        elif self.sealed.seq == 0:
            said += "; the seal was made ahead of the first of them"
        else:
            said += f", and the seal's head (entry {self.sealed.seq}) is among them"
        return screen.wrapped([said], columns)


@dataclass(frozen=True)
class Tail(Document):
    """The last entries of the log of changes."""

    schema: ClassVar[str] = "kleidi.audit-tail/v1"
    printed_by: ClassVar[str] = "kleidi audit tail"

    entries: Annotated[list[dict[str, Any]], "oldest first, as they stand in the log: see audit.md"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        head = [name.upper() for name in _COLUMNS] + ["WHAT"]
        return "\n".join(
            screen.table(head, map(_cells, self.entries), columns, numbers=("SEQ", "GENERATION"))
        )


@app.command()
def verify(*, output: Printed = Output.TEXT) -> None:
    """Whether every entry follows from the one before it, and the one that the newest seal knows is there."""
    settings = load()
    # First the seal: the log that is read behind it holds its head, whatever a server does meanwhile.
    known, unknown = _sealed_head(settings)
    tell(Verification.of(assembly.audit_log(settings).follow(known), known, unknown), output)


def _sealed_head(settings: Settings) -> tuple[Head | None, str]:
    """What the seal knows of the log, or why that cannot be told."""
    try:
        known = assembly.sealed_head(settings)
    except KleidiError as error:
        return None, f"{error.fault.id}, {error.fault.sentence}"
    return known, "" if known else "it was made by a kleidi that did not remember any"


@app.command()
def tail(
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the last entries.")] = 20,
    output: Printed = Output.TEXT,
) -> None:
    """The last entries, oldest first."""
    tell(Tail(assembly.audit_log(load()).tail(count)), output)


def _cells(entry: dict[str, Any]) -> list[str]:
    more = {
        name: value for name, value in entry.items() if name not in (*_COLUMNS, "hash", "force", "key_id")
    }
    told = [
        *([str(entry["key_id"])] if entry.get("key_id") else []),
        *(["forced"] if entry.get("force") else []),
        *(f"{name}={value}" for name, value in more.items() if value not in ("", None)),
    ]
    # A reason is whatever somebody typed; here it stays one line of text.
    return [screen.safe(str(entry.get(name, ""))) for name in _COLUMNS] + [screen.safe(" ".join(told))]
