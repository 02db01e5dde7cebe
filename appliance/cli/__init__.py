"""The command line: thin verbs; every error is one line on stderr and an exit code from the table."""

import sys
from typing import Annotated

import typer

from appliance import __version__
from appliance.cli import (
    adopt,
    anchor,
    audit,
    backups,
    completion,
    ending,
    hsm,
    install,
    keys,
    manual,
    nodes,
    serve,
    slots,
    status,
    transit,
    unseal,
    usage,
    version,
)
from appliance.cli.help import INSIDE, KEYS, LOOK, NODES, SET_UP, Verbs

app = Verbs("An embedded-HSM appliance that speaks Kubernetes KMS v2. Settings: KLEIDI_* (see the README).")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kleidi {__version__}")
        raise typer.Exit


@app.callback()
def kleidi(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Nothing but the options that stand ahead of a verb."""


app.command(panel=LOOK)(status.status)
app.command(panel=LOOK)(usage.usage)
app.add_typer(audit.app, name="audit", rich_help_panel=LOOK)
app.add_typer(hsm.app, name="hsm", rich_help_panel=LOOK)
app.command(panel=LOOK)(version.version)
app.add_typer(keys.app, name="key", rich_help_panel=KEYS)
app.add_typer(backups.app, name="backup", rich_help_panel=KEYS)
app.add_typer(slots.app, name="slot", rich_help_panel=KEYS)
app.add_typer(transit.app, name="transit", rich_help_panel=KEYS)
app.command(panel=KEYS)(unseal.unseal)
app.command(panel=KEYS)(adopt.adopt)
app.add_typer(anchor.app, name="anchor", rich_help_panel=KEYS)
app.add_typer(nodes.app, name="node", rich_help_panel=NODES)
app.command(panel=SET_UP)(install.install)
app.command(panel=SET_UP)(install.uninstall)
app.command(panel=SET_UP)(install.manifests)
app.command("encryption-config", panel=SET_UP)(serve.encryption_config)
app.command(panel=SET_UP)(completion.completion)
app.command(panel=SET_UP)(manual.manual)
app.command(panel=INSIDE)(serve.provision)
app.command(panel=INSIDE)(serve.serve)


def main() -> None:
    """Run one command; whatever it raises becomes one line and an exit code."""
    arguments = sys.argv[1:]
    with ending.told(arguments):
        sys.exit(app(arguments, prog_name="kleidi", standalone_mode=False))
