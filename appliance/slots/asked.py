"""What somebody gave, and what every kind of slot makes of it: the port that a kind's module keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.volume.slot import HeldSlot


@dataclass(frozen=True, repr=False)
class Asked:
    """What somebody gave to open a slot or to make one: a kind calls for its own secret, and for no other.

    *volume* and *seal_key* are where the settings have them. *passphrase* asks twice when it is to be made.
    Of the *settings* a kind whose key something else keeps reads those whose names begin with its own.
    """

    volume: Path
    seal_key: Path
    settings: object = None
    # The kind, where it is all that has to be given; for a TPM the registers that must not change.
    kind: str = ""
    pcrs: str = ""
    key_file: Path | None = None
    passphrase: Callable[[bool], str] | None = None
    identity: Callable[[], str] | None = None
    recipient: str = ""


class Secret(Protocol):
    """What a person or a machine opens slots of one kind with."""

    @property
    def kind(self) -> str: ...

    def recall(self, values: Mapping[str, str]) -> HeldSlot:
        """The slot with those public *values*, if it is this secret's; only the seal can tell."""
        ...


class Opening(Protocol):
    """One kind at work. Both raise E-SLOT-SECRET with the option that is missing."""

    def secret(self, asked: Asked) -> Secret: ...

    def add(self, asked: Asked, name: str, *, dry_run: bool) -> tuple[HeldSlot, Secret | None]:
        """A new slot, and its secret where that was given: then the slot can be tried at once."""
        ...
