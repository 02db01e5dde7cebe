"""The PKCS#11 sessions that stand behind a `Session`, and what is known only as long as they live."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import PyKCS11
from PyKCS11 import CK_OBJECT_HANDLE, CKF_RW_SESSION, PyKCS11Error

from softhsm.errors import TokenLostError
from softhsm.lifetime import LOCK, Lifetime


class Login:
    """One token's login. Other tokens of the directory have their own, and neither knows of the other.

    The idle *anchor* keeps the login, which ends with the token's last session; the working session does the
    work and is thrown away after any error, since PyKCS11 may leave an operation active in it for ever.
    """

    def __init__(self, life: Lifetime, slot: int, anchor: PyKCS11.Session) -> None:
        self._life = life
        self._slot = slot
        self._anchor: PyKCS11.Session | None = anchor
        self.working: PyKCS11.Session | None = None
        # Of keys that were found and checked; and of all objects, where somebody has listed them.
        self.handles: dict[str, CK_OBJECT_HANDLE] = {}
        self.listed: dict[str, list[CK_OBJECT_HANDLE]] = {}

    @property
    def over(self) -> bool:
        return self._anchor is None or self._life.over

    @contextmanager
    def lent(self, operation: str) -> Iterator[PyKCS11.Session]:
        """Lend the working session; whatever goes wrong, it is not used again."""
        with LOCK:
            if self._anchor is None:
                raise TokenLostError("the session is closed")
            with self._life.entered(operation):
                try:
                    yield self.work()
                except (PyKCS11Error, TokenLostError):
                    self.forget()
                    raise

    def work(self) -> PyKCS11.Session:
        """Answer the working session. The caller holds the lock."""
        if self.working is None:
            self.working = self._life.pkcs11.openSession(self._slot)
        return self.working

    @contextmanager
    def writer(self) -> Iterator[PyKCS11.Session]:
        """Lend a read-write session, inside `lent`; the login holds for it too."""
        writer = self._life.pkcs11.openSession(self._slot, CKF_RW_SESSION)
        try:
            yield writer
        finally:
            writer.closeSession()

    def discard(self) -> None:
        working, self.working = self.working, None
        if working is not None and not self._life.over:
            with suppress(PyKCS11Error):
                working.closeSession()

    def forget(self) -> None:
        """Discard the working session and every handle: what it knew may no longer be so."""
        self.discard()
        self.handles.clear()
        self.listed.clear()

    def close(self) -> None:
        """Log out. May be called again, and never raises."""
        with LOCK:
            anchor, self._anchor = self._anchor, None
            if anchor is None or self._life.over:
                return
            with suppress(PyKCS11Error):
                anchor.logout()
            self.forget()
            with suppress(PyKCS11Error):
                anchor.closeSession()
