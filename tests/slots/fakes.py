"""An escrow in plain memory, and the ways in which a test can make it misbehave; obeys the slot contract."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.slots.escrow import EscrowSlot

_NONCE = bytes(12)


class FakeEscrow:
    """Stands for a chip: its *kind* is that of one that goes with the machine."""

    def __init__(self, kind: str = "tpm") -> None:
        self.kind = kind
        self.away: Fault | None = None
        self.released = 0
        self._secret = AESGCM(secrets.token_bytes(32))
        self._name = secrets.token_hex(8)

    def ready(self) -> None:
        if self.away:
            raise KleidiError(self.away, "the fake is away")

    def deposit(self, key: bytes) -> Mapping[str, str]:
        self.ready()
        return {"by": self._name, "escrow": self._secret.encrypt(_NONCE, key, None).hex()}

    def release(self, values: Mapping[str, str]) -> bytes:
        self.ready()
        self.released += 1
        try:
            return self._secret.decrypt(_NONCE, bytes.fromhex(values["escrow"]), None)
        except InvalidTag as error:
            raise KleidiError(faults.SLOT_WRONG, "another fake's") from error

    def knows(self, values: Mapping[str, str]) -> bool:
        self.ready()
        return values.get("by") == self._name

    def protection(self, values: Mapping[str, str]) -> str:
        return f"{self.kind}+pcrs" if values.get("pcrs") else self.kind


def slot(escrow: FakeEscrow, path: Path) -> EscrowSlot:
    """What the machine opens by itself with, where the settings have the key file at *path*."""
    return EscrowSlot(escrow.kind, path, lambda: escrow, look_seconds=0.05, try_seconds=3600)
