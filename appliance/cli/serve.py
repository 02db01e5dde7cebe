"""Serving the cluster: make the first key, answer the API server."""

import logging
import time

import typer

from appliance import assembly, logs
from appliance.cli.options import KeepTrying
from appliance.configuration import encryption_configuration
from appliance.faults import Exit, Kind, KleidiError
from appliance.settings import Settings, load

_RETRY_SECONDS = 2.0


def provision(*, keep_trying: KeepTrying = False) -> None:
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
            what = "provisioned" if done.born else "the volume is provisioned already"
            logs.event(logging.INFO, what, key_id=keyset.primary.id, keyset=keyset.hash)
            return


def serve() -> None:
    """Answer the API server on KLEIDI_SOCKET until SIGTERM."""
    assembly.serve(_ready())


def encryption_config() -> None:
    """The EncryptionConfiguration that points an API server at KLEIDI_SOCKET."""
    settings = load()
    typer.echo(encryption_configuration(settings.provider_name, settings.socket), nl=False)


def _ready() -> Settings:
    settings = load()
    logs.configure(form=settings.log_format, level=settings.log_level)
    return settings


def _may_heal(error: KleidiError) -> bool:
    return error.fault.kind is not Kind.CONFIGURATION and error.fault.exit is not Exit.UNPROVISIONED
