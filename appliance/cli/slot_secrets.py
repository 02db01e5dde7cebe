"""How a slot's secret is handed over, and where the slots are read: a secret stays in this process."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Protocol

import typer

from appliance import assembly, faults
from appliance.age.key_pairs import Identities
from appliance.cli import reach
from appliance.cli.secrets import read, typed
from appliance.faults import KleidiError
from appliance.settings import Settings
from appliance.slots.passphrase import Passphrase
from appliance.slots.recovery import Recovery
from appliance.slots.survey import Row
from appliance.slots.survey import rows as on_disk
from appliance.volume.custody import Custody
from appliance.volume.slot import HeldSlot


class Kind(StrEnum):
    """What a slot's secret is."""

    FILE = "file"
    VOLUME = "volume"
    PASSPHRASE = "passphrase"  # noqa: S105  a kind of secret, none itself
    RECOVERY = "recovery"


class Secret(Protocol):
    """What a person or a machine opens slots of one kind with."""

    @property
    def kind(self) -> str: ...

    def recall(self, values: Mapping[str, str]) -> HeldSlot: ...


KeyFileOption = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="A key file; a missing one is made by `add`."),
]


def custody(settings: Settings, kind: Kind, key_file: Path | None) -> Custody:
    if kind is Kind.VOLUME:
        return Custody(kind, settings.volume_dir / "seal.key")
    if key_file is None:
        raise KleidiError(faults.SLOT_SECRET, "--key-file FILE")
    path = key_file.resolve()
    if path.is_relative_to(settings.volume_dir.resolve()):
        raise KleidiError(faults.SLOT_SECRET, f"{path} is on the volume that it would open")
    return Custody(kind, path)


def passphrase(name: str, *, twice: bool) -> Passphrase:
    return Passphrase(read(name, faults.SLOT_SECRET) if name else typed(twice=twice))


def recovery(name: str) -> Recovery:
    if not name:
        raise KleidiError(faults.SLOT_SECRET, "--identity FILE")
    return Recovery(Identities.parse(read(name, faults.SLOT_SECRET)))


def rows(settings: Settings) -> list[Row]:
    from appliance.client import admin

    def ask() -> list[Row]:
        found = admin.slots(settings.admin_socket).slots
        return [Row(slot.name, slot.kind, dict(slot.values), slot.tested, slot.configured) for slot in found]

    return reach.answered(ask, lambda: on_disk(assembly.storage(settings)))
