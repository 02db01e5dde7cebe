"""The bytes that Kubernetes stores: format | body.

The format says what the body is like; who made it, only the key id tells.

    1   nonce 12 | AES-256-GCM ciphertext | tag 16, whichever engine drew the nonce
"""

from dataclasses import dataclass

from appliance import faults
from appliance.faults import KleidiError

FORMAT = 1
NONCE_SIZE = 12
TAG_SIZE = 16
# The API server refuses a ciphertext of more than 1024 bytes (kmsv2/envelope.go, validateEncryptedDEKSource).
MAX_SIZE = 1024
OVERHEAD = 1 + NONCE_SIZE + TAG_SIZE
MAX_PLAINTEXT = MAX_SIZE - OVERHEAD


@dataclass(frozen=True)
class Envelope:
    """*body* is the engine's, and is not looked into here."""

    body: bytes

    def to_bytes(self) -> bytes:
        return bytes([FORMAT]) + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Envelope":
        """Total: any bytes make an envelope or a KleidiError of E-ENVELOPE-INVALID."""
        if not OVERHEAD < len(data) <= MAX_SIZE:
            raise KleidiError(faults.ENVELOPE_INVALID, f"{len(data)} bytes")
        if data[0] != FORMAT:
            raise KleidiError(faults.ENVELOPE_INVALID, f"format {data[0]}")
        return cls(data[1:])


def associated_data(key_id: str) -> bytes:
    """What the tag covers beside the plaintext.

    Never the request's uid: Decrypt's is another one than Encrypt's.
    """
    return bytes([FORMAT]) + key_id.encode("ascii")
