"""Who keeps the seal key: a file of 32 bytes, beside it a mark that it was used, and what that protects.

Two kinds of slot: `file`, a key file somewhere else, and `volume`, a key file on the volume itself, which
hides nothing and is for demos.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from appliance import faults, regular
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.mark import Marked
from appliance.volume.mounts import mount_of
from appliance.volume.slot import KEY_SIZE, HeldSlot, Presence, Slot, SlotKey


@dataclass(frozen=True)
class Custody(Marked):
    """A MachineSlot: the key file at *path*."""

    kind: str
    path: Path

    # A file costs nothing to look at, and a disk that was taken away is to be known soon.
    look_seconds: ClassVar[float] = 2
    try_seconds: ClassVar[float] = 2

    def look(self) -> tuple[Presence, KleidiError | None]:
        try:
            self.load()
        except KleidiError as error:
            if error.fault is not faults.SEAL_KEY_MISSING:
                return Presence.INVALID, error
            if os.access(self.path.parent, os.W_OK | os.X_OK):
                return Presence.CREATABLE, None
            return Presence.ABSENT, KleidiError(faults.SEAL_KEY_UNWRITABLE, str(self.path.parent))
        return Presence.PRESENT, None

    def create(self) -> None:
        """Make a new key; an old one is never replaced."""
        if self.look()[0] in (Presence.PRESENT, Presence.INVALID):
            self.load()  # raises for what is no key, and might be one that an operator still needs
            return
        with durable.translated_as(faults.SEAL_KEY_UNWRITABLE):
            durable.write(self.path, secrets.token_bytes(KEY_SIZE), 0o400)

    def load(self) -> SlotKey:
        try:
            secret = regular.read(self.path, KEY_SIZE, follow=True)  # a kubelet mounts a Secret as links
        except FileNotFoundError as error:
            raise KleidiError(faults.SEAL_KEY_MISSING, str(self.path)) from error
        except OSError as error:
            raise KleidiError(faults.SEAL_KEY_INVALID, f"{error.strerror}: {self.path}") from error
        if len(secret) != KEY_SIZE:
            raise KleidiError(faults.SEAL_KEY_INVALID, f"{self.path} holds {len(secret)} bytes")
        return SlotKey(self.kind, secret)

    def demand(self) -> None:
        self.load()

    def opens_with(self, slot: Slot, context: bytes) -> bool:
        try:
            return slot.kind == self.kind and self.load().unwrap(slot, context) is not None
        except (KleidiError, KeyError, TypeError, ValueError):
            return False

    def why_gone(self, slots: Sequence[HeldSlot], *, thorough: bool) -> str:  # noqa: ARG002  it always is
        try:
            key = self.load()
        except KleidiError as error:
            return error.brief
        return "" if any(key.fits(slot) for slot in slots) else KleidiError(faults.SEAL_KEY_WRONG).brief

    def protection(self, volume: Path, slots: Sequence[Slot] = ()) -> str:  # noqa: ARG002
        """How far the key is from what it opens, as it is and not as it was meant."""
        if self.kind == "volume" or self.path.parent.resolve() == volume.resolve():
            return "none"
        if mount_of(self.path).in_memory:
            return "memory"
        same = self.path.parent.stat().st_dev == volume.stat().st_dev
        return "same-disk" if same else "other-disk"
