"""Who keeps the seal key: a file of 32 bytes, beside it a mark that it was used, and what that protects.

Two kinds of slot so far: `file`, a key file somewhere else, and `volume`, a key file
on the volume itself, which hides nothing and is for demos.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from appliance import faults, regular
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.mounts import mount_of
from appliance.volume.slot import KEY_SIZE, KeyFileState, SlotKey

_MARK_SIZE = 64  # bytes: a lineage and a line break


@dataclass(frozen=True)
class Custody:
    """A MachineSlot: the key file at *path*."""

    kind: str
    path: Path

    @property
    def _mark(self) -> Path:
        return self.path.with_name(self.path.name + ".used")

    def look(self) -> KeyFileState:
        try:
            self.load()
        except KleidiError as error:
            if error.fault is not faults.SEAL_KEY_MISSING:
                return KeyFileState.INVALID
            creatable = os.access(self.path.parent, os.W_OK | os.X_OK)
            return KeyFileState.CREATABLE if creatable else KeyFileState.ABSENT
        return KeyFileState.PRESENT

    def used(self) -> bool:
        """Whether a volume was ever sealed with this key. A mark that cannot be looked at counts."""
        try:
            self._mark.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def used_for(self) -> str:
        """The lineage that the mark names; empty when it names none."""
        try:
            return regular.read(self._mark, _MARK_SIZE, follow=True).decode().strip()
        except (OSError, ValueError):
            return ""

    def create(self) -> None:
        """Make a new key; an old one is never replaced."""
        if self.look() in (KeyFileState.PRESENT, KeyFileState.INVALID):
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

    def mark_used(self, lineage: str) -> None:
        if not self.used():
            durable.write(self._mark, f"{lineage}\n".encode(), 0o444)

    def protection(self, volume: Path) -> str:
        """How far the key is from what it opens, as it is and not as it was meant."""
        if self.kind == "volume" or self.path.parent.resolve() == volume.resolve():
            return "none"
        if mount_of(self.path).in_memory:
            return "memory"
        same = self.path.parent.stat().st_dev == volume.stat().st_dev
        return "same-disk" if same else "other-disk"
