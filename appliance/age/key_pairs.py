"""Age files to and from key pairs, by pyrage: whoever can write a bundle need not be able to read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyrage

from appliance import faults
from appliance.faults import KleidiError


class Sealer(Protocol):
    """Whoever a bundle is for."""

    def encrypt(self, data: bytes) -> bytes: ...


class Opener(Protocol):
    """Whoever can open one. Raises KleidiError: E-BACKUP-KEY-WRONG, E-BACKUP-CORRUPT, E-BACKUP-MEMORY."""

    def decrypt(self, data: bytes) -> bytes: ...


@dataclass(frozen=True)
class Recipients:
    """Age's X25519 public keys, age1…; each of them can open it."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise E-BACKUP-RECIPIENT for what is none, before anything depends on it."""
        if not self.names:
            raise KleidiError(faults.BACKUP_RECIPIENT)
        self._keys()

    def encrypt(self, data: bytes) -> bytes:
        return bytes(pyrage.encrypt(data, self._keys()))

    def _keys(self) -> list[object]:
        found: list[object] = []
        for name in self.names:
            try:
                found.append(pyrage.x25519.Recipient.from_str(name))
            except pyrage.RecipientError as error:
                # Somebody may have pasted the other half of the pair, which must not be shown.
                shown = name if name.lower().startswith("age1") else "what does not begin with age1"
                raise KleidiError(faults.BACKUP_RECIPIENT, f"{shown}: no age public key") from error
        return found


@dataclass(frozen=True, repr=False)
class Identities:
    """The other halves, AGE-SECRET-KEY-1…: any of them will do."""

    secrets: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Identities":
        """What age-keygen writes: lines, with comments. Raises E-BACKUP-IDENTITY."""
        lines = [line.strip() for line in text.splitlines()]
        found = tuple(line for line in lines if line and not line.startswith("#"))
        if not found:
            raise KleidiError(faults.BACKUP_IDENTITY)
        identities = cls(found)
        identities._keys()
        return identities

    @classmethod
    def generate(cls) -> "Identities":
        """One of its own, for one use."""
        return cls((str(pyrage.x25519.Identity.generate()),))

    @property
    def recipients(self) -> Recipients:
        """Who can be encrypted to so that these open it."""
        return Recipients(tuple(str(key.to_public()) for key in self._keys()))

    def decrypt(self, data: bytes) -> bytes:
        return decrypted(data, lambda sealed: pyrage.decrypt(sealed, self._keys()))

    def _keys(self) -> Sequence["pyrage.x25519.Identity"]:
        keys = []
        for number, secret in enumerate(self.secrets, 1):
            try:
                keys.append(pyrage.x25519.Identity.from_str(secret))
            except pyrage.IdentityError as error:
                # Of a line that may be a secret all the same, nothing is shown.
                what = "a public key, age1…" if secret.startswith("age1") else "no AGE-SECRET-KEY-1…"
                raise KleidiError(faults.BACKUP_IDENTITY, f"its line {number} is {what}") from error
        return keys


# pyrage has one exception for everything; these are rage's own words (age 0.11, error.rs).
_FAULTS = {
    "No matching keys found": faults.BACKUP_KEY_WRONG,
    "Decryption failed": faults.BACKUP_KEY_WRONG,  # a passphrase; of a payload it says "decryption error"
    "Excessive work parameter": faults.BACKUP_MEMORY,
}


_FAMILY, _VERSION = b"age-encryption.org/", b"age-encryption.org/v1\n"


def decrypted(data: bytes, decrypt: Callable[[bytes], bytes]) -> bytes:
    """What *decrypt*, a call of pyrage, makes of *data*; its troubles become faults."""
    if data.startswith(_FAMILY) and len(data) > len(_VERSION) and not data.startswith(_VERSION):
        raise KleidiError(faults.BACKUP_NEWER, "of age's format, this version knows v1")
    try:
        return bytes(decrypt(data))
    except pyrage.DecryptError as error:
        said = str(error).partition("\n")[0]
        fault = next((fault for words, fault in _FAULTS.items() if said.startswith(words)), None)
        raise KleidiError(fault or faults.BACKUP_CORRUPT, said) from error
