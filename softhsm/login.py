"""The PKCS#11 sessions that stand behind a `Session`, and what is known only as long as they live."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import PyKCS11
from PyKCS11 import CK_OBJECT_HANDLE, CKF_RW_SESSION, PyKCS11Error

from softhsm.direct import Direct
from softhsm.errors import TokenLostError
from softhsm.lifetime import LOCK, Lifetime


class Login:
    """One token's login. Other tokens of the directory have their own, and neither knows of the other.

    The idle *anchor* keeps the login, which ends with the token's last session; the working session does the
    work and is thrown away after any error, since an operation may be left active in it for ever. Copies of
    keys have a session of their own and end with it, so that a bad ciphertext does not cost them.
    """

    def __init__(self, life: Lifetime, slot: int, anchor: PyKCS11.Session) -> None:
        self._life = life
        self._slot = slot
        self._anchor: PyKCS11.Session | None = anchor
        self._keeping: PyKCS11.Session | None = None
        self.working: PyKCS11.Session | None = None
        self.number = 0  # the working session's
        # Of keys that were found and checked; of what stands for them in memory, or they themselves where
        # they allow no copy; and of all objects, where somebody has listed them.
        self.handles: dict[str, int] = {}
        self.copies: dict[str, int] = {}
        self.listed: dict[str, list[CK_OBJECT_HANDLE]] = {}

    @property
    def over(self) -> bool:
        return self._anchor is None or self._life.over

    @property
    def direct(self) -> Direct:
        return self._life.direct

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
            self.number = self.working.session.value()
        return self.working

    def copied(self, object_id: str, handle: int) -> int:
        """The handle of a copy of that key, or its own where the token refuses. Inside `lent`."""
        if self._keeping is None:
            self._keeping = self._life.pkcs11.openSession(self._slot)
        copy = self.direct.copied(self._keeping.session.value(), handle)
        self.copies[object_id] = handle if copy is None else copy
        return self.copies[object_id]

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
        self._end(working)

    def forget(self) -> None:
        """Discard the working session, every handle and every copy: what they knew may no longer be so."""
        self.discard()
        keeping, self._keeping = self._keeping, None
        self._end(keeping)
        self.handles.clear()
        self.copies.clear()
        self.listed.clear()

    def _end(self, session: PyKCS11.Session | None) -> None:
        if session is not None and not self._life.over:
            with suppress(PyKCS11Error):
                session.closeSession()

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
