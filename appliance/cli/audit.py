"""`kleidi audit …`: the log of changes, read from the volume itself; asks no server and takes no lock."""

import json
from typing import Annotated, Any

import typer

from appliance import assembly
from appliance.cli.options import Output, Printed
from appliance.faults import KleidiError
from appliance.settings import Settings, load
from appliance.volume.audit import Chain, Head

app = typer.Typer(no_args_is_help=True, help="The log of changes: read it, and see that nobody changed it.")

SCHEMA = "kleidi.audit/v1"
_FIRST = ("seq", "time", "op", "phase", "key_id", "generation", "by")


@app.command()
def verify(*, output: Printed = Output.TEXT) -> None:
    """Whether every entry follows from the one before it, and the one that the newest seal knows is there."""
    settings = load()
    # First the seal: the log that is read behind it holds its head, whatever a server does meanwhile.
    known, unknown = _sealed_head(settings)
    chain = assembly.audit_log(settings).follow(known)
    typer.echo(_json(chain, known, unknown) if output is Output.JSON else _text(chain, known, unknown))


def _sealed_head(settings: Settings) -> tuple[Head | None, str]:
    """What the seal knows of the log, or why that cannot be told."""
    try:
        known = assembly.sealed_head(settings)
    except KleidiError as error:
        return None, f"{error.fault.id}, {error.fault.sentence}"
    return known, "" if known else "it was made by a kleidi that did not remember any"


def _text(chain: Chain, known: Head | None, unknown: str) -> str:
    said = f"ok, {chain.entries} entries"
    if chain.missing:
        files = "1 older file is" if chain.missing == 1 else f"{chain.missing} older files are"
        said += f" from entry {chain.first} on ({files} not here)"
    if known is None:
        return f"{said}; not compared with the seal: {unknown}"
    if known.seq == 0:
        return f"{said}; the seal was made ahead of the first of them"
    return f"{said}, and the seal's head (entry {known.seq}) is among them"


def _json(chain: Chain, known: Head | None, unknown: str) -> str:
    fields = {
        "schema": SCHEMA,
        "ok": True,
        "entries": chain.entries,
        "from": chain.first,
        "missing_files": chain.missing,
        "head": chain.head.to_json(),
        "compared": known is not None,
        "sealed": known.to_json() if known else None,
        "why_not": unknown,
    }
    return json.dumps(fields, indent=2)


@app.command()
def tail(
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the last entries.")] = 20,
    output: Printed = Output.TEXT,
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
    line = " ".join([*(str(entry[name]) for name in _FIRST if name in entry), *forced, *rest])
    # A reason is whatever somebody typed; here it stays one line of text.
    return line if line.isprintable() else ascii(line)[1:-1]
