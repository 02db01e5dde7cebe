"""`kleidi anchor …`: what was seen here before, and how to say that what is missing of it is lost."""

import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from appliance import assembly, faults, screen
from appliance.cli import keys
from appliance.cli.help import Verbs
from appliance.cli.options import DryRun, Output, Printed, tell
from appliance.documents import Document
from appliance.faults import KleidiError
from appliance.ops.advice import after
from appliance.ops.operations import Command, Verb
from appliance.settings import load
from appliance.volume.anchor import Memory

app = Verbs("What is remembered of the volume outside of it.")

_Reason = Annotated[str, typer.Option("--reason", help="For the audit log and for `kleidi status`.")]
_Lineage = Annotated[str, typer.Option("--lineage", help="The volume's lineage, to show that it is meant.")]


@dataclass(frozen=True)
class Known(Document):
    """What the anchor remembers; it is read where it lies, no server is asked."""

    schema: ClassVar[str] = "kleidi.anchor-show/v1"
    printed_by: ClassVar[str] = "kleidi anchor show"

    file: Annotated[str, "where it lies; empty where no anchor is kept"]
    anchor: Annotated[Memory | None, "null when nothing was seen yet"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        known = self.anchor
        if known is None:
            return "nothing is remembered here" if self.file else "no anchor is kept here"
        rows = [
            ("file", self.file),
            ("lineage", known.lineage),
            ("generation", str(known.generation)),
            ("digest", known.digest),
            ("key set", known.keyset),
            *(("keys" if number == 0 else "", key) for number, key in enumerate(known.keys or ("",))),
        ]
        return "\n".join(screen.rows([(name, words or "not remembered") for name, words in rows], columns))


@app.command()
def show(*, output: Printed = Output.TEXT) -> None:
    """What the anchor remembers; it is read where it lies, no server is asked."""
    anchor = assembly.storage(load()).anchor
    tell(Known(str(anchor.path or ""), anchor.read()), output)


@app.command()
def accept(
    *,
    reason: _Reason,
    lineage: _Lineage = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Say that what the volume holds is all there is: what was seen before and is missing is lost for good.

    Only after that can a rolled-back volume be changed again. The next generation and the next key get
    numbers that nothing remembers. What was encrypted under a lost key cannot be read by anybody.
    """
    if not reason.strip():
        raise KleidiError(faults.COMMAND_LINE, "--reason must say why")
    settings = load()
    if not dry_run and not lineage and sys.stdin.isatty():
        asked = keys.carry_out(settings, Command(Verb.ACCEPT, reason=reason, dry_run=True))
        typer.echo("\n".join(asked.said), err=True)
        lineage = typer.prompt("Type the volume's lineage to accept this", err=True)
    command = Command(Verb.ACCEPT, typed=lineage, reason=reason, dry_run=dry_run)
    changed = keys.carry_out(settings, command)
    tell(changed, output, [] if dry_run else after(Verb.ACCEPT, ""))
