"""AES-GCM under a device's keys, whoever makes the nonces: `nonce 12 | ciphertext | tag 16`."""

import os
from typing import Final

from softhsm.pkcs11 import token as tokens
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import DeniedError, LostError, SuspectError, TamperedError
from softhsm.pkcs11.gcm import NONCE_SIZE, TAG_SIZE
from softhsm.pkcs11.login import Login
from softhsm.pkcs11.session import Session

_NONE: Final = bytes(NONCE_SIZE)
# Under a nonce of zeros nothing but this is ever encrypted, so that it pairs with no other plaintext.
_PROBE: Final = (b"whose nonce is it", b"kleidi/pkcs11-nonce/v1")


class Cipher:
    def __init__(self, device: Device) -> None:
        self._device = device
        self._module_draws: dict[str, bool] = {}

    def demand(self) -> None:
        """Raise `NoGcmError` unless the token makes AES keys and does AES-GCM with them."""
        self._device.run(lambda login, _: login.demand(tokens.demand_gcm))

    def encrypt(self, object_id: str, plaintext: bytes, aad: bytes) -> bytes:
        def work(login: Login, session: Session) -> bytes:
            login.demand(tokens.demand_gcm)
            key = login.handle(session, object_id)
            draws = self._draws(session, key, object_id)
            nonce, ciphertext = session.encrypt(
                key, _NONE if draws else os.urandom(NONCE_SIZE), plaintext, aad
            )
            if nonce == _NONE:
                # The same nonce twice gives both plaintexts away.
                raise LostError("the module made no nonce")
            return nonce + ciphertext

        return self._device.run(work)

    def decrypt(self, object_id: str, body: bytes, aad: bytes) -> bytes:
        """Raises `TamperedError` when the tag fits neither before nor after the key showed that it works."""
        if len(body) <= NONCE_SIZE + TAG_SIZE:
            raise ValueError("the body is no longer than its nonce and tag")

        def work(login: Login, session: Session) -> bytes:
            login.demand(tokens.demand_gcm)
            key = login.handle(session, object_id)
            return session.decrypt(key, body[:NONCE_SIZE], body[NONCE_SIZE:], aad)

        try:
            return self._device.run(work)
        except SuspectError:
            # A lost login may look like a wrong tag. This mends it, or tells what it is.
            self.encrypt(object_id, b"?", b"?")
        try:
            return self._device.run(work)
        except SuspectError as error:
            raise TamperedError("the tag does not fit the data") from error

    def module_draws(self, object_id: str) -> bool:
        """Whether the module makes the nonces of this key."""
        return self._device.run(
            lambda login, session: self._draws(session, login.handle(session, object_id), object_id)
        )

    def _draws(self, session: Session, key: int, object_id: str) -> bool:
        known = self._module_draws.get(object_id)
        if known is None:
            try:
                known = draws_nonces(session, key)
            except DeniedError:
                # A nonce of zeros is refused by some. In this session nothing goes on.
                self._module_draws[object_id] = False
                raise LostError("a nonce of zeros is refused") from None
            self._module_draws[object_id] = known
        return known


def draws_nonces(session: Session, key: int) -> bool:
    """Whether the module puts a nonce of its own where it was given none but zeros."""
    return session.encrypt(key, _NONE, *_PROBE)[0] != _NONE
