"""The PIN: read at each login, overwritten after it, and never tried again once a token refused it.

A token locks or wipes itself after a few wrong ones, and by its flags it says when it is about to.
"""

import ctypes
from threading import Lock
from typing import Protocol

from softhsm.pkcs11.constants import CKU_USER, Ckr, TokenFlag
from softhsm.pkcs11.errors import PinError, PinLockedError, Pkcs11Error, again, demand
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.token import Token


class Pin(Protocol):
    """Where the PIN is."""

    def read(self) -> bytearray:
        """The PIN, which whoever reads it overwrites."""
        ...

    def mark(self) -> object:
        """Another value once somebody may have changed it."""
        ...


class PinGuard:
    """Without a *pin* no token that wants one is entered."""

    def __init__(self, pin: Pin | None) -> None:
        self._pin = pin
        self._lock = Lock()
        self._refused: tuple[Pkcs11Error, object] | None = None

    def demand_untried(self) -> None:
        """Raise what the token answered to the PIN that is still there."""
        if self._refused is not None and self._pin is not None and self._pin.mark() == self._refused[1]:
            raise again(self._refused[0])

    def log_in(self, session: Session, token: Token) -> None:
        """C_Login of the user, in *session* for all of them. Raises `PinError`."""
        with self._lock:
            self.demand_untried()
            _demand_tries(Token.at(session.module, token.slot).flags)
            if self._pin is None:
                raise PinError("the token wants a PIN, and none was given")
            mark, secret = self._pin.mark(), self._pin.read()
            try:
                code = _tried(session, token, secret)
            finally:
                secret[:] = bytes(len(secret))
            try:
                if code != Ckr.USER_ALREADY_LOGGED_IN:
                    demand(code, "C_Login")
            except PinError as error:
                self._refused = again(error), mark
                raise
            self._refused = None


def _tried(session: Session, token: Token, secret: bytearray) -> int:
    sizes = token.pin_sizes
    if sizes is not None and len(secret) not in sizes:
        # Not sent: some tokens count it as a wrong one.
        raise PinError(f"the token takes PINs of {sizes.start} to {sizes.stop - 1} bytes")
    raw = (ctypes.c_ubyte * len(secret)).from_buffer(secret)
    return session.module.code("C_Login", session.handle, CKU_USER, ctypes.addressof(raw), len(secret))


def _demand_tries(flags: TokenFlag) -> None:
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise PinLockedError("the PIN is locked")
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise PinLockedError("one more wrong PIN would lock it, so none was tried")
