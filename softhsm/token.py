"""A token that was found by its serial, still closed."""

from contextlib import suppress

from PyKCS11 import CKR_USER_ALREADY_LOGGED_IN, PyKCS11Error

from softhsm.errors import SoftHsmError
from softhsm.lifetime import Lifetime
from softhsm.login import Login
from softhsm.session import Session


class Token:
    def __init__(self, life: Lifetime, slot: int, serial: str, label: str, *, populated: bool) -> None:
        """*populated*: it held anything when the module was loaded."""
        self._life = life
        self._slot = slot
        self._populated = populated
        self.serial = serial
        self.label = label

    def __repr__(self) -> str:
        return f"Token(serial={self.serial!r}, label={self.label!r})"

    def open(self, user_pin: str, *, copies: bool = False) -> Session:
        """Log in; with *copies*, keys that allow it are used from copies in memory, made at their first use.

        The login writes to the token directory. Where that is read-only SoftHSM forgives it once: a second
        login, or a first one after a wrong PIN, fails as a lost token until the module is loaded again.
        """
        with self._life.entered("login") as pkcs11:
            anchor = pkcs11.openSession(self._slot)
            try:
                anchor.login(user_pin)
                login = Login(self._life, self._slot, anchor)
                return Session(login, populated=self._populated, copies=copies)
            except BaseException as error:
                # Closing the last session on the token also logs out.
                with suppress(PyKCS11Error):
                    anchor.closeSession()
                if isinstance(error, PyKCS11Error) and error.value == CKR_USER_ALREADY_LOGGED_IN:
                    # SoftHSM says so before it looks at the PIN, and the two would share one logout.
                    raise SoftHsmError("login: another session of this process has the token open") from error
                raise
