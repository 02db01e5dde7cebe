"""Serving the cluster: make the first key, answer the API server, tell how things stand."""

import json
import logging
import sys
import time
from typing import Annotated

import typer

from appliance import __version__, assembly, logs
from appliance.cli import reach
from appliance.cli.options import Output, Printed
from appliance.configuration import encryption_configuration
from appliance.faults import Exit, Kind, KleidiError
from appliance.settings import Settings, load

_RETRY_SECONDS = 2.0
_POLL_SECONDS = 0.1


_Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait for the state OPERATIONAL.")]
_KeepTrying = Annotated[bool, typer.Option("--keep-trying", help="Wait for what may heal, then go on.")]


def provision(*, keep_trying: _KeepTrying = False) -> None:
    """Make the cluster's first key if this node may and nothing speaks against it; else verify the volume."""
    settings = _ready()
    said = ""
    while True:
        try:
            done = assembly.provision(settings)
        except KleidiError as error:
            if not (keep_trying and _may_heal(error)):
                raise
            if str(error) != said:
                logs.event(logging.WARNING, str(error))
            said = str(error)
            time.sleep(_RETRY_SECONDS)
        else:
            for said in dict.fromkeys((*map(str, done.opened.warnings), *done.said)):
                logs.event(logging.WARNING, said)
            keyset = done.opened.payload.keyset
            logs.event(logging.INFO, "provisioned", key_id=keyset.primary.id, keyset=keyset.hash)
            return


def serve() -> None:
    """Answer the API server on KLEIDI_SOCKET until SIGTERM."""
    assembly.serve(_ready())


def status(*, output: Printed = Output.TEXT, wait: _Wait = 0.0) -> None:
    """How things stand: asked of the running server, or read from the volume when it is down."""
    settings = load()
    until = time.monotonic() + wait
    report = reach.report(settings)
    while report.exit not in (Exit.OK, Exit.DEGRADED) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        report = reach.report(settings)
    typer.echo(report.to_json() if output is Output.JSON else report.to_text())
    raise typer.Exit(report.exit)


def encryption_config() -> None:
    """The EncryptionConfiguration that points an API server at KLEIDI_SOCKET."""
    settings = load()
    typer.echo(encryption_configuration(settings.provider_name, settings.socket), nl=False)


def version(*, output: Printed = Output.TEXT) -> None:
    """Which kleidi this is."""
    fields = {"schema": "kleidi.version/v1", "version": __version__, "python": sys.version.split()[0]}
    typer.echo(json.dumps(fields, indent=2) if output is Output.JSON else f"kleidi {__version__}")


def _ready() -> Settings:
    settings = load()
    logs.configure(form=settings.log_format, level=settings.log_level)
    return settings


def _may_heal(error: KleidiError) -> bool:
    return error.fault.kind is not Kind.CONFIGURATION and error.fault.exit is not Exit.UNPROVISIONED
