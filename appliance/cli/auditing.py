"""`kleidi audit …`: the log of changes, read from the volume itself; asks no server and takes no lock."""

import json
from typing import Annotated, Any

import typer

from appliance import assembly
from appliance.cli.serving import Output
from appliance.settings import load

app = typer.Typer(no_args_is_help=True, help="The log of changes: read it, and see that nobody changed it.")

SCHEMA = "kleidi.audit/v1"
_Output = Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")]
_FIRST = ("seq", "time", "op", "phase", "key_id", "generation", "by")


@app.command()
def verify(*, output: _Output = Output.TEXT) -> None:
    """Whether every entry follows from the one before it."""
    count = assembly.audit_log(load()).verify()
    if output is Output.JSON:
        typer.echo(json.dumps({"schema": SCHEMA, "ok": True, "entries": count}, indent=2))
    else:
        typer.echo(f"ok, {count} entries")


@app.command()
def tail(
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the last entries.")] = 20,
    output: _Output = Output.TEXT,
) -> None:
    """The last entries, oldest first."""
    entries = assembly.audit_log(load()).tail(count)
    if output is Output.JSON:
        typer.echo(json.dumps({"schema": SCHEMA, "entries": entries}, indent=2))
        return
    for entry in entries:
        typer.echo(_line(entry))


def _line(entry: dict[str, Any]) -> str:
    rest = [f"{name}={value}" for name, value in entry.items() if name not in (*_FIRST, "hash", "force")]
    forced = ["forced"] if entry.get("force") else []
    return " ".join([*(str(entry[name]) for name in _FIRST if name in entry), *forced, *rest])
