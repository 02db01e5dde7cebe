"""The slot `passphrase`: a key derived with scrypt, by whoever has the passphrase and never by the server."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance import faults
from appliance.age import free_memory
from appliance.age.passphrase import MIN_LENGTH
from appliance.faults import KleidiError
from appliance.slots.asked import Asked
from appliance.volume.slot import KEY_SIZE, HeldSlot

KIND = "passphrase"
# 64 MiB and a quarter of a second: fits beside the server in a pod of 384 MiB. age's own default, four
# times as much, does not.
COST = {"n": 1 << 16, "r": 8, "p": 1}
# A header may be anybody's: it must not talk us into a gigabyte, or into an hour.
_MOST = {"n": 1 << 20, "r": 16, "p": 16}


@dataclass(frozen=True, repr=False)
class Passphrase:
    kind = KIND
    text: str

    def hold(self, name: str) -> HeldSlot:
        """A new slot. Raises E-SLOT-SECRET when it is too short, E-SLOT-MEMORY when memory is."""
        if len(self.text) < MIN_LENGTH:
            raise KleidiError(faults.SLOT_SECRET, f"at least {MIN_LENGTH} characters")
        cost = {key: str(value) for key, value in COST.items()}
        return self.recall({"name": name, "salt": secrets.token_hex(16), **cost})

    def recall(self, values: Mapping[str, str]) -> HeldSlot:
        """The slot with those public *values*, if this is its passphrase; only the seal can tell."""
        try:
            cost = {key: int(values[key]) for key in COST}
            salt = bytes.fromhex(values["salt"])
        except (KeyError, ValueError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}") from error
        n = cost["n"]
        if n == 1 or n.bit_count() != 1 or any(not 0 < cost[key] <= most for key, most in _MOST.items()):
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}: {cost}")
        needed, free = 128 * n * cost["r"], free_memory.bytes_left()
        if needed > free:
            raise KleidiError(faults.SLOT_MEMORY, f"{needed >> 20} MiB wanted, {free >> 20} MiB free")
        key = Scrypt(salt=salt, length=KEY_SIZE, **cost).derive(self.text.encode())
        return HeldSlot(KIND, values, key)


class Opening:
    """Typed at a terminal or read from a file; asked for twice where it is new."""

    def secret(self, asked: Asked) -> Passphrase:
        return self._ask(asked, twice=False)

    def add(self, asked: Asked, name: str, *, dry_run: bool) -> tuple[HeldSlot, Passphrase]:  # noqa: ARG002
        secret = self._ask(asked, twice=True)
        return secret.hold(name), secret

    @staticmethod
    def _ask(asked: Asked, *, twice: bool) -> Passphrase:
        if asked.passphrase is None:
            raise KleidiError(faults.COMMAND_LINE, "give --passphrase or --passphrase-file FILE")
        return Passphrase(asked.passphrase(twice))
