"""`kleidi unseal`: opening by hand while the key file is lost."""

from typing import Annotated

import typer

from appliance import faults, hardening
from appliance.cli import slot_secrets
from appliance.cli.secrets import AskPassphrase, IdentityFile, PassphraseFile
from appliance.cli.slot_secrets import KeyFileOption
from appliance.faults import KleidiError
from appliance.settings import load
from appliance.slots import KINDS, asked_for

_KEPT = [name for name, kind in KINDS.items() if kind.escrow]


def _kept(name: str) -> str:
    """One of those that need nothing handed over."""
    if name not in _KEPT:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(_KEPT)}.")
    return name


_Escrow = Annotated[
    str | None,
    typer.Option(
        "--kind", parser=_kept, metavar=f"[{'|'.join(_KEPT)}]", help="By what keeps a slot's key for us."
    ),
]


def unseal(
    *,
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = "",
    identity: IdentityFile = "",
    key_file: KeyFileOption = None,
    kind: _Escrow = None,
) -> None:
    """Open the seal by hand, for as long as the server runs; nothing of the secret is written anywhere."""
    from appliance.client import admin

    hardening.shut()
    settings = load()
    given = slot_secrets.asked(
        settings,
        key_file=key_file,
        passphrase_file=passphrase_file,
        passphrase=passphrase,
        identity=identity,
        kind=kind or "",
    )
    secret = asked_for(given).opening().secret(given)
    refusal = KleidiError(faults.SLOT_WRONG, f"there is no slot of kind {secret.kind}")
    for row in slot_secrets.rows(settings):
        if row.kind != secret.kind:
            continue
        try:
            request = admin.unseal_request(secret.recall(row.values))
            reply = admin.unseal(settings.admin_socket, request)
        except KleidiError as error:
            if error.fault not in (faults.SEAL_KEY_WRONG, faults.SLOT_WRONG):
                raise
            refusal = KleidiError(faults.SLOT_WRONG, f"none of kind {secret.kind}")
        else:
            typer.echo(f"{reply.state}, generation {reply.generation}")
            return
    raise refusal
