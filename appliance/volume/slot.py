"""Slots: each wraps the one data key of a sealed file, so any one of them opens it (as in LUKS)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE = 32


@dataclass(frozen=True)
class Slot:
    """What the header keeps of a slot: its kind, and values that only that kind understands.

    A kind that this version does not know is carried along and left alone.
    """

    kind: str
    values: Mapping[str, str]


@dataclass(frozen=True, repr=False)
class SlotKey:
    """A secret that opens slots of one *kind*: 32 bytes, kept in a file."""

    kind: str
    secret: bytes

    def wrap(self, data_key: bytes, context: bytes) -> Slot:
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        wrapped = AESGCM(self._wrapping_key(salt)).encrypt(nonce, data_key, context)
        return Slot(self.kind, {"salt": salt.hex(), "nonce": nonce.hex(), "wrapped": wrapped.hex()})

    def unwrap(self, slot: Slot, context: bytes) -> bytes | None:
        """The data key, or None when this is not the secret of that slot."""
        salt, nonce, wrapped = (bytes.fromhex(slot.values[name]) for name in ("salt", "nonce", "wrapped"))
        try:
            return AESGCM(self._wrapping_key(salt)).decrypt(nonce, wrapped, context)
        except InvalidTag:
            return None

    def _wrapping_key(self, salt: bytes) -> bytes:
        info = b"kleidi/slot/v1/" + self.kind.encode()
        return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(self.secret)
