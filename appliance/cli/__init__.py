"""The command line: thin verbs; every error is one line on stderr and an exit code from the table."""

import typer

from appliance.cli import (
    anchor,
    auditing,
    backups,
    ending,
    inspecting,
    installing,
    keys,
    moving,
    nodes,
    serving,
    slots,
    unsealing,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="An embedded-HSM appliance that speaks Kubernetes KMS v2. Settings: KLEIDI_* (see the README).",
)
app.command()(serving.provision)
app.command()(serving.serve)
app.command()(serving.status)
app.command("encryption-config")(serving.encryption_config)
app.command()(installing.manifests)
app.command()(installing.install)
app.command()(installing.uninstall)
app.command()(serving.version)
app.add_typer(keys.app, name="key")
app.add_typer(backups.app, name="backup")
app.add_typer(nodes.app, name="node")
app.add_typer(slots.app, name="slot")
app.command()(unsealing.unseal)
app.command()(moving.adopt)
app.add_typer(auditing.app, name="audit")
app.add_typer(anchor.app, name="anchor")
app.command()(inspecting.usage)


def main() -> None:
    """Run one command; whatever it raises becomes one line and an exit code."""
    with ending.told():
        app(prog_name="kleidi")
