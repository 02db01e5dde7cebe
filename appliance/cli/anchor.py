"""`kleidi anchor …`: what was seen here before, and how to say that what is missing of it is lost."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from appliance import assembly, faults
from appliance.cli import keys
from appliance.cli.options import Output, Printed
from appliance.faults import KleidiError
from appliance.ops.advice import after
from appliance.ops.operations import Command, Verb
from appliance.settings import load

app = typer.Typer(no_args_is_help=True, help="What is remembered of the volume outside of it.")

SCHEMA = "kleidi.anchor-show/v1"
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be accepted; change nothing.")]
_Reason = Annotated[str, typer.Option("--reason", help="For the audit log and for `kleidi status`.")]
_Lineage = Annotated[str, typer.Option("--lineage", help="The volume's lineage, to show that it is meant.")]


@app.command()
def show(*, output: Printed = Output.TEXT) -> None:
    """What the anchor remembers; it is read where it lies, no server is asked."""
    anchor = assembly.storage(load()).anchor
    known = anchor.read()
    if output is Output.JSON:
        fields = asdict(known) if known else None
        typer.echo(json.dumps({"schema": SCHEMA, "file": str(anchor.path or ""), "anchor": fields}, indent=2))
        return
    if known is None:
        typer.echo("nothing is remembered here" if anchor.path else "no anchor is kept here")
        return
    rows = {
        "file": str(anchor.path),
        "lineage": known.lineage,
        "generation": str(known.generation),
        "digest": known.digest,
        "key set": known.keyset,
        "keys": "\n            ".join(known.keys),
    }
    for name, value in rows.items():
        typer.echo(f"{name:11} {value or 'not remembered'}")


@app.command()
def accept(
    *,
    reason: _Reason,
    lineage: _Lineage = "",
    dry_run: _DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Say that what the volume holds is all there is: what was seen before and is missing is lost for good.

    Only after that can a rolled-back volume be changed again. The next generation and the next key get
    numbers that nothing remembers. What was encrypted under a lost key cannot be read by anybody.
    """
    if not reason.strip():
        raise KleidiError(faults.CONFIG, "--reason must say why")
    settings = load()
    if not dry_run and not lineage and sys.stdin.isatty():
        asked = keys.carry_out(settings, Command(Verb.ACCEPT, reason=reason, dry_run=True))
        typer.echo("\n".join(asked.said), err=True)
        lineage = typer.prompt("Type the volume's lineage to accept this", err=True)
    command = Command(Verb.ACCEPT, typed=lineage, reason=reason, dry_run=dry_run)
    changed = keys.carry_out(settings, command)
    if output is Output.JSON:
        typer.echo(changed.to_json())
    else:
        typer.echo("\n".join([changed.to_text(), *([] if dry_run else after(Verb.ACCEPT, ""))]))
