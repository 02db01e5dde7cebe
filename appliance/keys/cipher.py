"""The port to whatever holds the keys: an engine encrypts, decrypts and gives nothing else away."""

from typing import Protocol


class Cipher(Protocol):
    """AES-256-GCM under keys that stay inside.

    *key* is the engine's own name of a key. Nonces are 12 bytes, tags 16, at the end
    of the ciphertext. Both methods raise one of the errors below, or a bug's own.
    """

    def encrypt(self, key: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes: ...

    def decrypt(self, key: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes: ...


class CipherError(Exception):
    """What an engine can answer instead of bytes. Never raised itself."""


class TamperedError(CipherError):
    """The tag does not fit: another key, other bytes, other associated data."""


class CipherLostError(CipherError):
    """The engine or the key went away; opening the token again may heal it."""
