"""Slots whose key something else keeps: a chip, a server, a device.

32 random bytes are closed by it once, and what came out of it stands in the header for everybody to see. At
boot it is asked to open them again; the slot's key then lies inside the seal like every other, so the next
generation asks nobody.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance import faults
from appliance.faults import Kind, KleidiError
from appliance.slots.asked import Asked
from appliance.volume.custody import Custody
from appliance.volume.mark import Marked
from appliance.volume.slot import KEY_SIZE, HeldSlot, Presence, Slot


class Escrow(Protocol):
    """What keeps a slot's key for this machine."""

    @property
    def kind(self) -> str: ...

    def ready(self) -> None:
        """Raises KleidiError: why no slot can be made now. Asks the device, and makes nothing."""
        ...

    def deposit(self, key: bytes) -> Mapping[str, str]:
        """Close 32 bytes so that only it opens them: a slot's public values, all but the name."""
        ...

    def release(self, values: Mapping[str, str]) -> bytes:
        """The bytes again. The values may be anybody's.

        Raises the kind's own KleidiError, and E-SEAL-CORRUPT for values that are none.
        """
        ...

    def knows(self, values: Mapping[str, str]) -> bool:
        """Whether it made these values, as far as can be told without opening them. May raise KleidiError."""
        ...

    def protection(self, values: Mapping[str, str]) -> str:
        """The word for what such a slot needs."""
        ...


class EscrowSecret:
    """A MachineSecret and a person's Secret at once. Asked once that it is away, it is not asked again."""

    def __init__(self, escrow: Escrow) -> None:
        self._escrow = escrow
        self._away: KleidiError | None = None

    @property
    def kind(self) -> str:
        return self._escrow.kind

    def hold(self, name: str = "") -> HeldSlot:
        """A new slot, which it has opened already."""
        key = secrets.token_bytes(KEY_SIZE)
        values = dict(self._escrow.deposit(key))
        held = HeldSlot(self.kind, {"name": name, **values} if name else values, key)
        if not secrets.compare_digest(self.recall(held.values).wrapping_key, key):
            raise KleidiError(faults.SLOT_WRONG, f"what a slot of kind {self.kind} gave is not what it got")
        return held

    def recall(self, values: Mapping[str, str]) -> HeldSlot:
        if self._away is not None:
            raise self._away
        try:
            key = self._escrow.release(values)
        except KleidiError as error:
            if error.fault.kind is Kind.WAITING:
                self._away = error
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {self.kind}") from error
        return HeldSlot(self.kind, values, key)

    def unwrap(self, slot: Slot, context: bytes) -> bytes | None:
        return self.recall(slot.values).unwrap(slot, context)

    def fits(self, held: HeldSlot) -> bool:
        return held.kind == self.kind and self._escrow.knows(held.values)


@dataclass(frozen=True)
class EscrowSlot(Marked):
    """A MachineSlot: what *escrow* makes keeps the seal's key. The mark lies where a key file would.

    The *escrow* is made when it is needed.
    """

    kind: str
    path: Path
    escrow: Callable[[], Escrow]
    look_seconds: float
    try_seconds: float

    def look(self) -> tuple[Presence, KleidiError | None]:
        try:
            self.escrow().ready()
        except KleidiError as error:
            return Presence.INVALID, error
        return Presence.PRESENT, None

    def create(self) -> None:
        """Nothing: a slot is made by load().hold()."""

    def demand(self) -> None:
        """What it needs is somewhere else, and not asked for a word on a screen."""

    def load(self) -> EscrowSecret:
        return EscrowSecret(self.escrow())

    def opens_with(self, slot: Slot, context: bytes) -> bool:  # noqa: ARG002
        return slot.kind == self.kind

    def why_gone(self, slots: Sequence[HeldSlot], *, thorough: bool) -> str:
        refusal = KleidiError(faults.SEAL_KEY_WRONG, f"there is no slot of kind {self.kind}")
        try:
            secret = self.load()
        except KleidiError as error:
            return error.brief
        for held in slots:
            if held.kind != self.kind:
                continue
            try:
                if (_opens if thorough else EscrowSecret.fits)(secret, held):
                    return ""
                refusal = KleidiError(faults.SEAL_KEY_WRONG, "it did not make the slot")
            except KleidiError as error:
                refusal = error
        return refusal.brief

    def protection(self, volume: Path, slots: Sequence[Slot]) -> str:
        """As the weakest way has it: a key file that opens it as well is all that somebody needs."""
        if any(slot.kind == "file" for slot in slots):
            found = Custody("file", self.path).protection(volume, slots)
            return found if self.path.exists() else "same-disk"
        own = [slot for slot in slots if slot.kind == self.kind]
        # The shorter word asks for less: `tpm`, and `tpm+pcrs`.
        return min((self.escrow().protection(slot.values) for slot in own), default="")


@dataclass(frozen=True)
class Opening:
    """Any kind of them. *escrow* is made of what was asked for."""

    escrow: Callable[[Asked], Escrow]

    def secret(self, asked: Asked) -> EscrowSecret:
        return EscrowSecret(self.escrow(asked))

    def add(self, asked: Asked, name: str, *, dry_run: bool) -> tuple[HeldSlot, EscrowSecret | None]:
        """Rehearsed, the device is only asked whether it could: making a slot may make something in it."""
        escrow = self.escrow(asked)
        if dry_run:
            escrow.ready()
            return HeldSlot(escrow.kind, {"name": name}, secrets.token_bytes(KEY_SIZE)), None
        secret = EscrowSecret(escrow)
        return secret.hold(name), secret


def _opens(secret: EscrowSecret, held: HeldSlot) -> bool:
    return secrets.compare_digest(secret.recall(held.values).wrapping_key, held.wrapping_key)
