"""How a slot's secret is handed over, and where the slots are read: a secret stays in this process."""

from pathlib import Path
from typing import Annotated

import typer

from appliance import assembly, faults
from appliance.cli import reach
from appliance.cli.secrets import read, typed
from appliance.settings import Settings
from appliance.slots import KINDS, Asked
from appliance.slots.listing import Row
from appliance.slots.listing import rows as on_disk

KeyFileOption = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="A key file; a missing one is made by `add`."),
]


def kind(name: str) -> str:
    """One of the list."""
    if name not in KINDS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(KINDS)}.")
    return name


def asked(
    settings: Settings,
    *,
    key_file: Path | None = None,
    passphrase_file: str = "",
    passphrase: bool = True,
    identity: str = "",
    recipient: str = "",
    kind: str = "",
    pcrs: str = "",
) -> Asked:
    """What was given with the options; *passphrase* is whether one may be asked for at the terminal."""

    def ask(twice: bool) -> str:
        if passphrase_file:
            return read(passphrase_file, faults.SLOT_SECRET)
        return typed(faults.SLOT_SECRET, twice=twice)

    return Asked(
        settings.volume_dir,
        settings.seal_key,
        settings,
        kind,
        pcrs,
        key_file,
        ask if passphrase or passphrase_file else None,
        (lambda: read(identity, faults.SLOT_SECRET)) if identity else None,
        recipient,
    )


def rows(settings: Settings) -> list[Row]:
    from appliance.client import admin

    def ask() -> list[Row]:
        found = admin.slots(settings.admin_socket).slots
        return [Row(slot.name, slot.kind, dict(slot.values), slot.tested, slot.configured) for slot in found]

    return reach.answered(settings, ask, lambda: on_disk(assembly.storage(settings)))
