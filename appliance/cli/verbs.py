"""Every verb in its place. Typer and all that the verbs stand on comes with it."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from appliance import __version__, faults
from appliance.cli import (
    adopt,
    anchor,
    audit,
    backups,
    completion,
    explain,
    hsm,
    install,
    keys,
    manual,
    nodes,
    serve,
    slots,
    status,
    tpm,
    transit,
    unseal,
    usage,
    version,
)
from appliance.cli.help import INSIDE, KEYS, LOOK, NODES, SET_UP, Verbs
from appliance.faults import KleidiError

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
app.command(panel=LOOK)(explain.explain)
app.command(panel=LOOK)(usage.usage)
app.add_typer(audit.app, name="audit", rich_help_panel=LOOK)
app.add_typer(hsm.app, name="hsm", rich_help_panel=LOOK)
app.add_typer(tpm.app, name="tpm", rich_help_panel=LOOK)
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


def run(arguments: Sequence[str]) -> Any:  # noqa: ANN401  typer's exit code, or what a verb returned
    """Do as *arguments* say. Raises KleidiError of E-COMMAND-LINE where they say nothing that makes sense."""
    try:
        return app(arguments, prog_name="kleidi", standalone_mode=False)
    except typer.Abort:
        # What typer makes of an interrupt, or of an end of input, at one of its prompts.
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        raise KleidiError(faults.COMMAND_LINE, _misunderstood(error)) from None


def _misunderstood(error: typer.TyperException) -> str:
    """In typer's words, but in one line, and after the command that they are about."""
    words = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{context.command_path}: {words}" if context else words
