"""`kleidi node …`: the same keys on every control-plane node. Only a first join needs no server."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from appliance import faults, given, screen
from appliance.backup import directory
from appliance.backup.bundle import MAX_SIZE
from appliance.cli.help import Verbs
from appliance.cli.options import DryRun, Output, Printed, tell
from appliance.documents import Document
from appliance.faults import KleidiError
from appliance.settings import load

app = Verbs("Nodes: invite, export, join.")

_To = Annotated[
    str, typer.Option("--to", metavar="RECIPIENT", help="What `kleidi node invite` printed on that node.")
]
_Where = Annotated[
    str, typer.Argument(metavar="[FILE|-]", help="Where to write it; - is stdout, for a pipe.")
]
_Bundle = Annotated[str, typer.Argument(metavar="FILE", help="What the other node exported; - is stdin.")]
_Invite = Annotated[
    bool,
    typer.Option(
        "--invite",
        help="Invite first, wait for FILE, and take it; without a server as well, on the volume itself. "
        "The recipient goes to stdout, all else to stderr.",
    ),
]


@dataclass(frozen=True)
class Invitation(Document):
    """A recipient that is good for one bundle."""

    schema: ClassVar[str] = "kleidi.node-invite/v1"
    printed_by: ClassVar[str] = "kleidi node invite"

    recipient: Annotated[str, "age1…, for `kleidi node export --to`"]
    seconds: Annotated[int, "how long it is good for, if the server is not restarted"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:  # noqa: ARG002  it is copied, so it is never broken
        return self.recipient


@app.command()
def invite(*, output: Printed = Output.TEXT) -> None:
    """On the node that is to get the keys: print a recipient that is good for one bundle."""
    from appliance.client import admin

    made = admin.invite(load().admin_socket)
    # The recipient alone on stdout, so that a script can take it as it is.
    tell(Invitation(made.recipient, made.seconds), output)
    if output is Output.TEXT and sys.stderr.isatty():
        hours = made.seconds / 3600
        typer.echo(f"Within {hours:g} h and before a restart: kleidi node export --to … there", err=True)


@app.command()
def export(where: _Where = "-", *, to: _To) -> None:
    """On a node that has the keys: all of them, for that one recipient."""
    from appliance.client import admin

    if where == "-" and sys.stdout.isatty():
        raise KleidiError(faults.COMMAND_LINE, "a bundle is binary, and stdout is a terminal; name a file")
    # Looked at before the keys leave the server: an export that nobody gets is in the audit log all the same.
    if where != "-" and (Path(where).exists() or not os.access(Path(where).parent, os.W_OK)):
        raise KleidiError(faults.NODE_BUNDLE, f"{where}: it exists, or its directory cannot be written")
    made = admin.export(load().admin_socket, to)
    if where == "-":
        sys.stdout.buffer.write(made.bundle)
        sys.stdout.flush()
    else:
        directory.put(Path(where), made.bundle)
    typer.echo(f"key set {made.keyset}, generation {made.generation}", err=True)


@app.command()
def join(
    file: _Bundle, *, invited: _Invite = False, dry_run: DryRun = False, output: Printed = Output.TEXT
) -> None:
    """On the invited node: take the keys that were exported to it, first ones or newer ones."""
    from appliance.cli import joining
    from appliance.client import admin

    if file == "-" and sys.stdin.isatty():
        raise KleidiError(faults.COMMAND_LINE, "a bundle is binary, and stdin is a terminal; name a file")
    settings = load()

    def courier(recipient: str) -> bytes:
        typer.echo(recipient)
        sys.stdout.flush()
        return _bundle(file)

    if invited:
        changed = joining.join(settings, courier, dry_run=dry_run)
    else:
        changed = admin.join(settings.admin_socket, _bundle(file), dry_run=dry_run)
    # Whoever reads stdout for the recipient has read it, and may be gone.
    tell(replace(changed, dry_run=dry_run), output, err=invited)


def _bundle(name: str) -> bytes:
    data = given.read(name, MAX_SIZE, unreadable=faults.NODE_BUNDLE)
    if not data:
        raise KleidiError(faults.NODE_BUNDLE, f"{name} is empty")
    return data
