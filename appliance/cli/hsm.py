"""`kleidi hsm …`: whether a hardware module can hold our keys or open the seal, before it does."""

import typer

from appliance import faults, hardening
from appliance.cli.help import Verbs
from appliance.cli.options import Output, Printed, tell
from appliance.faults import KleidiError
from appliance.pkcs11.options import Pkcs11Options
from appliance.settings import load

app = Verbs("The hardware module that keys can lie in.")


@app.callback()
def _group() -> None:
    """The hardware module that keys can lie in."""


@app.command()
def check(*, output: Printed = Output.TEXT) -> None:
    """Whether the token of KLEIDI_PKCS11_MODULE can hold our keys or open a slot; nothing is left in it.

    It loads the library, finds the token, logs in once, makes a key and a key pair for the
    session alone and tries them.
    A PIN that one wrong try would lock is not tried.
    """
    hardening.shut()
    options = Pkcs11Options.of(load())
    if options is None:
        raise KleidiError(faults.PKCS11_UNSET)
    from appliance.pkcs11.check import check as checked

    found = checked(options)
    tell(found, output)
    raise typer.Exit(found.exit)
