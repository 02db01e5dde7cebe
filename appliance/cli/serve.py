"""Serving the cluster: make the first key, answer the API server."""

import typer

from appliance.cli import programs
from appliance.cli.options import KeepTrying
from appliance.configuration import encryption_configuration
from appliance.settings import load


def provision(*, keep_trying: KeepTrying = False) -> None:
    """Make the cluster's first key if this node may and nothing speaks against it; else verify the volume."""
    programs.provision(keep_trying=keep_trying)


def serve() -> None:
    """Answer the API server on KLEIDI_SOCKET until SIGTERM."""
    programs.serve()


def encryption_config() -> None:
    """The EncryptionConfiguration that points an API server at KLEIDI_SOCKET."""
    settings = load()
    typer.echo(encryption_configuration(settings.provider_name, settings.socket), nl=False)
