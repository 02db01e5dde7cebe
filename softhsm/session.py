"""An open token: keys are made, found and used here, one call at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import PyKCS11
from PyKCS11 import (
    CK_OBJECT_HANDLE,
    CKA_ID,
    CKF_RW_SESSION,
    CKM_AES_KEY_GEN,
    AES_GCM_Mechanism,
    Mechanism,
    PyKCS11Error,
)

from softhsm import key
from softhsm.errors import (
    SUSPECT_DATA,
    KeyNotFoundError,
    SoftHsmError,
    TamperedError,
    TokenLostError,
    translated,
)
from softhsm.lifetime import LOCK, Lifetime

_TAG_BITS: Final = key.TAG_SIZE * 8


class Session:
    """A login, and the calls made under it.

    Two PKCS#11 sessions stand behind it. The idle *anchor* keeps the login, which ends with the last session;
    the working one does the work and is thrown away after any error, since PyKCS11 may leave an operation
    active in it for ever.
    """

    def __init__(self, life: Lifetime, slot: int, anchor: PyKCS11.Session, *, populated: bool) -> None:
        self._life = life
        self._slot = slot
        self._anchor: PyKCS11.Session | None = anchor
        self._working: PyKCS11.Session | None = None
        self._handles: dict[str, CK_OBJECT_HANDLE] = {}
        self._seen: set[str] = set()
        self._populated = populated

    def generate(self, object_id: str, label: str) -> None:
        """Make a key on the token. Needs a token directory that may be written."""
        wanted = key.newborn(object_id, label)
        with self._working_on("generate") as session:
            if session.findObjects([(CKA_ID, key.identity(object_id))]):
                raise SoftHsmError(f"the token already has an object {object_id}")
            # The login holds for all sessions of the process, so only this one needs to be read-write.
            writer = self._life.pkcs11.openSession(self._slot, CKF_RW_SESSION)
            try:
                writer.generateKey(wanted, Mechanism(CKM_AES_KEY_GEN))
            finally:
                writer.closeSession()
            self._populated = True
            self._find(session, object_id, born_here=True)

    def encrypt(self, object_id: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """AES-256-GCM; answers the ciphertext with its 128-bit tag behind it."""
        if not plaintext:
            # PyKCS11 asks C_EncryptInit first and C_Encrypt then refuses, which leaves the operation active.
            raise ValueError("there is no plaintext")
        mechanism = _gcm(nonce, aad)
        with LOCK:
            session, handle = self._ready(object_id)
            try:
                return bytes(session.encrypt(handle, plaintext, mechanism))
            except PyKCS11Error as error:
                self._forget()
                raise translated(error, "encrypt") from error

    def decrypt(self, object_id: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Open what `encrypt` answered, or raise `TamperedError`."""
        if len(ciphertext) <= key.TAG_SIZE:
            raise ValueError("the ciphertext is no longer than its tag")
        mechanism = _gcm(nonce, aad)
        with LOCK:
            session, handle = self._ready(object_id)
            try:
                return bytes(session.decrypt(handle, ciphertext, mechanism))
            except PyKCS11Error as error:
                self._discard()
                if error.value in SUSPECT_DATA and self._still_encrypts(handle):
                    raise TamperedError("decrypt: the tag does not fit the data") from error
                self._forget()
                raise translated(error, "decrypt") from error

    def object_ids(self) -> list[str]:
        """The ids of all objects on the token, in order; an id that occurs twice is listed twice."""
        with self._working_on("list") as session:
            found = self._all(session)
            values = [session.getAttributeValue(handle, [CKA_ID])[0] for handle in found]
            return sorted(bytes(value or b"").hex() for value in values)

    def inspect(self, object_id: str) -> None:
        """Raise `KeyNotFoundError` unless the key is as `generate` makes it, and was made on this token."""
        with self._working_on("inspect") as session:
            self._find(session, object_id, born_here=True)

    def close(self) -> None:
        """Log out. May be called again, and never raises."""
        with LOCK:
            anchor, self._anchor = self._anchor, None
            if anchor is None or self._life.over:
                return
            with suppress(PyKCS11Error):
                anchor.logout()
            self._forget()
            with suppress(PyKCS11Error):
                anchor.closeSession()

    def _ready(self, object_id: str) -> tuple[PyKCS11.Session, CK_OBJECT_HANDLE]:
        """Answer the working session and the key's handle. The caller holds the lock."""
        handle = self._handles.get(object_id)
        if handle is None or self._working is None or self._anchor is None or self._life.over:
            with self._working_on("find") as session:
                if handle is None:
                    handle = self._find(session, object_id, born_here=False)
                return session, handle
        return self._working, handle

    @contextmanager
    def _working_on(self, operation: str) -> Iterator[PyKCS11.Session]:
        """Lend the working session; whatever goes wrong, it is not used again."""
        with LOCK:
            if self._anchor is None:
                raise TokenLostError("the session is closed")
            with self._life.entered(operation):
                try:
                    yield self._work()
                except (PyKCS11Error, TokenLostError):
                    self._forget()
                    raise

    def _find(self, session: PyKCS11.Session, object_id: str, *, born_here: bool) -> CK_OBJECT_HANDLE:
        found = session.findObjects([(CKA_ID, key.identity(object_id))])
        if not found and self._all(session) and object_id in self._seen:
            raise TokenLostError(f"key {object_id} has gone")
        if len(found) != 1:
            raise KeyNotFoundError(object_id, f"{len(found)} objects have this id")
        if wrong := key.faults(session, found[0], born_here=born_here):
            raise KeyNotFoundError(object_id, f"not as demanded: {', '.join(wrong)}")
        self._seen.add(object_id)
        self._handles[object_id] = found[0]
        return found[0]

    def _all(self, session: PyKCS11.Session) -> list[CK_OBJECT_HANDLE]:
        found: list[CK_OBJECT_HANDLE] = session.findObjects()
        if self._populated and not found:
            # SoftHSM finds nothing, and reports no error, when the files of its objects are no longer there.
            raise TokenLostError("the objects of the token have gone")
        return found

    def _still_encrypts(self, handle: CK_OBJECT_HANDLE) -> bool:
        """Ask a fresh session whether the key works, for a bad tag and a broken token answer alike."""
        try:
            self._work().encrypt(handle, b"?", _gcm(os.urandom(key.NONCE_SIZE), b"?"))
        except PyKCS11Error:
            return False
        return True

    def _work(self) -> PyKCS11.Session:
        if self._working is None:
            self._working = self._life.pkcs11.openSession(self._slot)
        return self._working

    def _discard(self) -> None:
        working, self._working = self._working, None
        if working is not None and not self._life.over:
            with suppress(PyKCS11Error):
                working.closeSession()

    def _forget(self) -> None:
        """Discard the working session and every handle: what it knew may no longer be so."""
        self._discard()
        self._handles.clear()


def _gcm(nonce: bytes, aad: bytes) -> AES_GCM_Mechanism:
    """The mechanism, to be kept alive during the call: it owns the bytes the module reads."""
    if len(nonce) != key.NONCE_SIZE:
        # SoftHSM takes an empty IV too, and makes 16 zero bytes of it.
        raise ValueError(f"a nonce has {key.NONCE_SIZE} bytes")
    if not aad:
        # Without any, SoftHSM 2.6.1 aborts the process where it was built hardened (SoftHSMv2#605, #664).
        raise ValueError("there is no additional data")
    return AES_GCM_Mechanism(nonce, aad, _TAG_BITS)
