"""`kleidi unseal`: opening by hand while the key file is lost."""

import typer

from appliance import faults, hardening
from appliance.cli import slot_secrets
from appliance.cli.secrets import AskPassphrase, IdentityFile, PassphraseFile
from appliance.cli.slot_secrets import KeyFileOption
from appliance.faults import KleidiError
from appliance.settings import load
from appliance.slots import asked_for


def unseal(
    *,
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = "",
    identity: IdentityFile = "",
    key_file: KeyFileOption = None,
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
