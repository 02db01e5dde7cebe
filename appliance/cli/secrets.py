"""How a person hands over what opens or closes a bundle: never in argv, never in the environment."""

import io
import sys
from typing import Annotated

import typer

from appliance import faults, given
from appliance.age.key_pairs import Identities, Opener, Recipients, Sealer
from appliance.age.passphrase import MIN_LENGTH, Passphrase, is_under_passphrase
from appliance.faults import Fault, KleidiError

To = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="RECIPIENT", help="An age public key, age1…; may be given several times."),
]
AskPassphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase at the terminal.")]
PassphraseFile = Annotated[
    str, typer.Option("--passphrase-file", metavar="FILE", help="Read the passphrase there; - is stdin.")
]
IdentityFile = Annotated[
    str, typer.Option("--identity", metavar="FILE", help="What age-keygen wrote; - is stdin.")
]
_MAX_SIZE = 64 * 1024


def sealer(to: list[str] | None, *, ask: bool, file: str, default: str | None) -> Sealer:
    """Who a bundle is made for; *default* are the recipients that the settings name."""
    if to and (ask or file):
        raise KleidiError(faults.BACKUP_RECIPIENT, "--to or a passphrase, not both: age takes one kind")
    if ask or file:
        return Passphrase(
            read(file, faults.BACKUP_PASSPHRASE) if file else typed(faults.BACKUP_PASSPHRASE, twice=True)
        )
    return Recipients(tuple(to or (default or "").split()))


def opener(data: bytes, *, identity: str, ask: bool, file: str) -> Opener:
    """What opens the bundle *data*: as told, else what its own first line asks for."""
    if file or ask or (not identity and is_under_passphrase(data)):
        return Passphrase(
            read(file, faults.BACKUP_PASSPHRASE) if file else typed(faults.BACKUP_PASSPHRASE, twice=False)
        )
    if not identity:
        raise KleidiError(faults.BACKUP_IDENTITY, "--identity FILE")
    return Identities.parse(read(identity, faults.BACKUP_IDENTITY))


def typed(fault: Fault, *, twice: bool) -> str:
    """A passphrase, asked for at the terminal. Raises *fault* when none comes of it."""
    if not sys.stdin.isatty():
        raise KleidiError(fault, "there is no terminal; --passphrase-file FILE")
    text = str(typer.prompt("Passphrase", hide_input=True, err=True))
    # Asked again only when something is made with it: a slip would lock it away for good.
    if twice and len(text) >= MIN_LENGTH and text != typer.prompt("Once more", hide_input=True, err=True):
        raise KleidiError(fault, "the two differ")
    return text


def read(name: str, fault: Fault) -> str:
    """A file's text without the newline that editors put behind it."""
    data = given.read(name, _MAX_SIZE, unreadable=fault)
    try:
        text = io.TextIOWrapper(io.BytesIO(data)).read()  # as the locale has it
    except ValueError as error:
        raise KleidiError(fault, f"{name}: not text") from error
    return text.removesuffix("\n").removesuffix("\r")
