"""The slot `recovery`: an age recipient whose other half lies in a safe.

The slot's key is drawn at random, encrypted to the recipient once, and kept inside the seal like every
other slot's: so the next generation needs neither the identity nor a new encryption. Like every public key
it has a limit: who opens with it knows that the file is meant for him, not that it is ours. A key file or
a passphrase proves both, so this one is for the day when there is no other.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from appliance import faults
from appliance.age.key_pairs import Identities, Recipients
from appliance.faults import KleidiError
from appliance.slots.asked import Asked
from appliance.volume.slot import KEY_SIZE, HeldSlot

KIND = "recovery"


def hold(name: str, recipient: str) -> HeldSlot:
    """A new slot. Raises E-BACKUP-RECIPIENT for what is none."""
    key = secrets.token_bytes(KEY_SIZE)
    escrow = b64encode(Recipients((recipient,)).encrypt(key)).decode()
    return HeldSlot(KIND, {"name": name, "recipient": recipient, "escrow": escrow}, key)


@dataclass(frozen=True, repr=False)
class Recovery:
    kind = KIND
    identities: Identities

    def recall(self, values: Mapping[str, str]) -> HeldSlot:
        """The slot with those public *values*. Raises E-SLOT-WRONG when it is another identity's."""
        try:
            escrow = b64decode(values["escrow"], validate=True)
        except (KeyError, ValueError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}") from error
        try:
            key = self.identities.decrypt(escrow)
        except KleidiError as error:
            wrong = error.fault is faults.BACKUP_KEY_WRONG
            fault = faults.SLOT_WRONG if wrong else faults.SEAL_CORRUPT
            raise KleidiError(fault, f"a slot of kind {KIND}") from error
        return HeldSlot(KIND, values, key)


class Opening:
    """Who adds it need not have the identity; then it waits for `kleidi slot test`."""

    def secret(self, asked: Asked) -> Recovery:
        if asked.identity is None:
            raise KleidiError(faults.COMMAND_LINE, "an identity is named with --identity FILE")
        return Recovery(Identities.parse(asked.identity()))

    def add(self, asked: Asked, name: str, *, dry_run: bool) -> tuple[HeldSlot, Recovery | None]:  # noqa: ARG002
        secret = self.secret(asked) if asked.identity else None
        return hold(name, asked.recipient), secret
