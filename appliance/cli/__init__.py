"""The command line: thin verbs; every error is one line on stderr and an exit code from the table."""

import typer

from appliance.cli import (
    adopt,
    anchor,
    audit,
    backups,
    ending,
    install,
    keys,
    nodes,
    serve,
    slots,
    unseal,
    usage,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="An embedded-HSM appliance that speaks Kubernetes KMS v2. Settings: KLEIDI_* (see the README).",
)
app.command()(serve.provision)
app.command()(serve.serve)
app.command()(serve.status)
app.command("encryption-config")(serve.encryption_config)
app.command()(install.manifests)
app.command()(install.install)
app.command()(install.uninstall)
app.command()(serve.version)
app.add_typer(keys.app, name="key")
app.add_typer(backups.app, name="backup")
app.add_typer(nodes.app, name="node")
app.add_typer(slots.app, name="slot")
app.command()(unseal.unseal)
app.command()(adopt.adopt)
app.add_typer(audit.app, name="audit")
app.add_typer(anchor.app, name="anchor")
app.command()(usage.usage)


def main() -> None:
    """Run one command; whatever it raises becomes one line and an exit code."""
    with ending.told():
        app(prog_name="kleidi")
