"""Slots: each wraps the one data key of a sealed file, so any one of them opens it (as in LUKS)."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.faults import KleidiError

KEY_SIZE = 32
# Kinds that are gone for good with the machine: never the only way in.
BOUND = frozenset({"tpm"})


@dataclass(frozen=True)
class Slot:
    """What the header keeps of a slot: its kind, and values that only that kind understands.

    A kind that this version does not know is carried along and left alone.
    """

    kind: str
    values: Mapping[str, str]


class Wrapper(Protocol):
    """Whatever can make a slot."""

    def wrap(self, data_key: bytes, context: bytes) -> Slot: ...


class Unwrapper(Protocol):
    """Whatever can open slots of one kind."""

    @property
    def kind(self) -> str: ...

    def unwrap(self, slot: Slot, context: bytes) -> bytes | None:
        """The data key; None when it is another's slot. Raises KleidiError for what keeps it from telling."""
        ...


class Presence(StrEnum):
    """What can be told of what a machine opens with, without using it."""

    ABSENT = "absent"
    CREATABLE = "creatable"  # absent, and can be made
    PRESENT = "present"
    INVALID = "invalid"


@dataclass(frozen=True, repr=False)
class HeldSlot:
    """A slot that can be made again for the next generation without asking for its secret.

    It is kept inside the seal, where only those can read it who have the seal open anyway.
    *values* are the slot's public ones: salt, parameters, name.
    """

    kind: str
    values: Mapping[str, str]
    wrapping_key: bytes

    def wrap(self, data_key: bytes, context: bytes) -> Slot:
        nonce = secrets.token_bytes(12)
        wrapped = AESGCM(self.wrapping_key).encrypt(nonce, data_key, context)
        return Slot(self.kind, {**self.values, "nonce": nonce.hex(), "wrapped": wrapped.hex()})

    def unwrap(self, slot: Slot, context: bytes) -> bytes | None:
        nonce, wrapped = (bytes.fromhex(slot.values[name]) for name in ("nonce", "wrapped"))
        try:
            return AESGCM(self.wrapping_key).decrypt(nonce, wrapped, context)
        except InvalidTag:
            return None


@dataclass(frozen=True, repr=False)
class SlotKey:
    """A secret that opens slots of one *kind*: 32 bytes, kept in a file."""

    kind: str
    secret: bytes

    def hold(self) -> HeldSlot:
        """A new slot for this secret."""
        return self._held(secrets.token_bytes(16))

    def wrap(self, data_key: bytes, context: bytes) -> Slot:
        return self.hold().wrap(data_key, context)

    def unwrap(self, slot: Slot, context: bytes) -> bytes | None:
        """The data key, or None when this is not the secret of that slot."""
        return self._held(bytes.fromhex(slot.values["salt"])).unwrap(slot, context)

    def fits(self, held: HeldSlot) -> bool:
        """Whether *held* is a slot for this secret."""
        if held.kind != self.kind or "salt" not in held.values:
            return False
        return secrets.compare_digest(self.recall(held.values).wrapping_key, held.wrapping_key)

    def recall(self, values: Mapping[str, str]) -> HeldSlot:
        """The slot with those public *values*, if it is this secret's."""
        return replace(self._held(bytes.fromhex(values["salt"])), values=values)

    def _held(self, salt: bytes) -> HeldSlot:
        info = b"kleidi/slot/v1/" + self.kind.encode()
        key = HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(self.secret)
        return HeldSlot(self.kind, {"salt": salt.hex()}, key)


class MachineSecret(Unwrapper, Protocol):
    """What a machine opens its own slot with. All of it may wait, and raise the kind's own KleidiError."""

    def hold(self) -> HeldSlot:
        """A new slot for this secret."""
        ...

    def fits(self, held: HeldSlot) -> bool:
        """Whether *held* is a slot for this secret."""
        ...


class MachineSlot(Protocol):
    """The port of what a machine opens by itself at every boot: a key file (custody.py), or what keeps one.

    Only who says so waits for a chip, a server or a device.
    """

    @property
    def kind(self) -> str: ...

    @property
    def path(self) -> Path:
        """What its files' names begin with: a crash may leave something beside it."""
        ...

    @property
    def look_seconds(self) -> float:
        """How often to look whether the next start would find it."""
        ...

    @property
    def try_seconds(self) -> float:
        """How often to open a slot with it for that, rather than only to look."""
        ...

    def look(self) -> tuple[Presence, KleidiError | None]:
        """Whether it is there, and what keeps a slot from being made; touching nothing. May wait."""
        ...

    def used(self) -> bool:
        """Whether a volume was ever sealed with it; what cannot be told counts."""
        ...

    def used_for(self) -> str:
        """The lineage of that volume; empty when it is not known."""
        ...

    def mark_used(self, lineage: str) -> None:
        """Remember that. Raises OSError."""
        ...

    def create(self) -> None:
        """Make it; what is there is never replaced. Raises E-SEAL-KEY-UNWRITABLE."""
        ...

    def demand(self) -> None:
        """Raises the KleidiError of one that surely cannot open anything. Does not wait."""
        ...

    def load(self) -> MachineSecret:
        """What opens. Raises E-SEAL-KEY-MISSING, E-SEAL-KEY-INVALID, or the kind's own. Does not wait."""
        ...

    def opens_with(self, slot: Slot, context: bytes) -> bool:
        """Whether it opens by that one, as far as can be told. Does not wait."""
        ...

    def why_gone(self, slots: Sequence[HeldSlot], *, thorough: bool) -> str:
        """Why it would open none of *slots* at the next start; empty when it would. May wait.

        *thorough* opens one; otherwise it only looks.
        """
        ...

    def protection(self, volume: Path, slots: Sequence[Slot]) -> str:
        """What stands between the *volume* and its keys: a word. Raises OSError."""
        ...
