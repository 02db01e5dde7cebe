"""`kleidi status`: how things stand, once, until all is well, or again and again."""

import json
import sys
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from appliance import faults, screen
from appliance.cli import reach
from appliance.cli.options import Output, Printed, tell
from appliance.client.report import Report
from appliance.faults import Exit, KleidiError
from appliance.settings import Settings, load

_POLL_SECONDS = 0.1
_WATCH_SECONDS = 2.0
# Whoever waits at a terminal for longer wants to know what for.
_SILENT_SECONDS = 2.0

_Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", help="Wait until it serves, at most.")]
_Field = Annotated[
    str, typer.Option("--field", metavar="NAME", help="Only this field of the JSON: keyset, backup.file, …")
]
_Watch = Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")]


def status(
    *, output: Printed = Output.TEXT, wait: _Wait = 0.0, field: _Field = "", watch: _Watch = False
) -> None:
    """How things stand: asked of the running server, or read from the volume when it is down."""
    settings = load()
    if watch:
        _watched(settings)
    report = _awaited(settings, wait)
    if field:
        typer.echo(found(asdict(report), field))
    else:
        tell(report, output)
    raise typer.Exit(report.exit)


def found(fields: dict[str, Any], name: str) -> str:
    """The value of `keyset`, `backup.file` or `reasons.0.id`: text as it is, anything else as JSON."""
    value: Any = fields
    for part in name.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif value is None and name != part:
            return ""
        else:
            known = (
                ", ".join(value)
                if isinstance(value, dict)
                else "numbers"
                if isinstance(value, list)
                else "nothing"
            )
            raise KleidiError(faults.COMMAND_LINE, f"--field {name}: at {part!r} there are {known}")
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _awaited(settings: Settings, seconds: float) -> Report:
    """The first report that serves, or the last one within *seconds*."""
    begun, said = time.monotonic(), ""
    while True:
        report = reach.report(settings)
        waited = time.monotonic() - begun
        if report.exit in (Exit.OK, Exit.DEGRADED) or waited >= seconds:
            return report
        now = f"{report.state}, {report.reason_id}" if report.reason_id else report.state
        if sys.stderr.isatty() and waited >= _SILENT_SECONDS and now != said:
            typer.echo(f"waiting, at most {seconds:g} s: {now}", err=True)
            said = now
        time.sleep(_POLL_SECONDS)


def _watched(settings: Settings) -> None:
    """Until an interrupt ends it."""
    if not sys.stdout.isatty():
        raise KleidiError(faults.COMMAND_LINE, "--watch is for a terminal; a program asks again, or --wait")
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, screen=True) as live:
        while True:
            text = reach.report(settings).to_text(screen.width())
            below = f"{time.strftime('%H:%M:%S')}, every {_WATCH_SECONDS:g} s; Ctrl-C ends"
            live.update(Text.from_ansi(f"{text}\n\n{below}"), refresh=True)
            time.sleep(_WATCH_SECONDS)
