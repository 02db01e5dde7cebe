"""An open token: keys are made, found and used here, one call at a time."""

import os

import PyKCS11
from PyKCS11 import (
    CK_OBJECT_HANDLE,
    CKA_ID,
    CKM_AES_KEY_GEN,
    Mechanism,
    PyKCS11Error,
)

from softhsm import foreign, key
from softhsm.errors import (
    SUSPECT_DATA,
    KeyNotFoundError,
    SoftHsmError,
    TamperedError,
    TokenLostError,
    translated,
)
from softhsm.foreign import SecretKey
from softhsm.lifetime import LOCK
from softhsm.login import Login


class Session:
    """The calls made under one token's login. An object id is one of the two forms that `key` describes.

    With *copies*, keys that allow it are used from copies in memory: what was opened is served whatever
    becomes of the token's files, and `attest` is what notices.
    """

    def __init__(self, login: Login, *, populated: bool, copies: bool) -> None:
        self._login = login
        self._copies = copies
        self._seen: set[str] = set()
        self._populated = populated

    def generate(self, object_id: str, label: str) -> None:
        """Make a key on the token. Needs a token directory that may be written."""
        wanted = key.newborn(object_id, label)
        with self._login.lent("generate") as session:
            if session.findObjects(key.search(object_id)):
                raise SoftHsmError(f"the token already has an object {object_id}")
            with self._login.writer() as writer:
                writer.generateKey(wanted, Mechanism(CKM_AES_KEY_GEN))
            self._populated = True
            self._find(session, object_id, born_here=True)

    def destroy(self, object_id: str) -> None:
        """Remove a key from the token, whatever its attributes. Needs a directory that may be written."""
        with self._login.lent("destroy") as session:
            handle = self._only(session, object_id)
            with self._login.writer() as writer:
                writer.destroyObject(handle)
            # Other ids may have meant it too.
            self._login.forget()
            self._seen.clear()
            self._populated = bool(self._login.work().findObjects(foreign.LASTING))

    def encrypt(self, object_id: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """AES-256-GCM; answers the ciphertext with its 128-bit tag behind it."""
        if not plaintext:
            # C_Encrypt refuses none, and leaves the operation active.
            raise ValueError("there is no plaintext")
        _demand(nonce, aad)
        login = self._login
        with LOCK:
            handle = self._ready(object_id, copies=self._copies)
            try:
                return login.direct.encrypt(login.number, handle, nonce, plaintext, aad)
            except PyKCS11Error as error:
                login.forget()
                raise translated(error, "encrypt") from error

    def decrypt(self, object_id: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Open what `encrypt` answered, or raise `TamperedError`."""
        return self._decrypt(object_id, nonce, ciphertext, aad, copies=self._copies)

    def attest(self, object_id: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """The same by the key that lies on the token, and by what stands for it in memory, if anything does.

        So the token is lost when its files are, and no other key is served in the place of this one.
        """
        with LOCK:
            opened = self._decrypt(object_id, nonce, ciphertext, aad, copies=False)
            if object_id in self._login.copies:
                self._decrypt(object_id, nonce, ciphertext, aad, copies=True)
            return opened

    def copied(self, object_id: str) -> bool | None:
        """Whether the key is used from a copy in memory; None until it was used. Waits for no lock."""
        copy = self._login.copies.get(object_id)
        return None if copy is None else copy != self._login.handles.get(object_id)

    def _decrypt(self, object_id: str, nonce: bytes, ciphertext: bytes, aad: bytes, *, copies: bool) -> bytes:
        if len(ciphertext) <= key.TAG_SIZE:
            raise ValueError("the ciphertext is no longer than its tag")
        _demand(nonce, aad)
        login = self._login
        with LOCK:
            handle = self._ready(object_id, copies=copies)
            try:
                return login.direct.decrypt(login.number, handle, nonce, ciphertext, aad)
            except PyKCS11Error as error:
                login.discard()
                if error.value in SUSPECT_DATA and self._still_encrypts(handle):
                    raise TamperedError("decrypt: the tag does not fit the data") from error
                login.forget()
                raise translated(error, "decrypt") from error

    def object_ids(self) -> list[str]:
        """The ids of all objects on the token, in order; an id that occurs twice is listed twice."""
        with self._login.lent("list") as session:
            listed = self._login.listed
            listed.clear()
            for handle in self._all(session):
                (value,) = session.getAttributeValue(handle, [CKA_ID])
                listed.setdefault(bytes(value or b"").hex(), []).append(handle)
            return sorted(object_id for object_id, handles in listed.items() for _ in handles)

    def inspect(self, object_id: str) -> None:
        """Raise `KeyNotFoundError` unless the key is as `generate` makes it, and was made on this token.

        Of one known by its label, only that there is one and that it can be used.
        """
        with self._login.lent("inspect") as session:
            self._find(session, object_id, born_here=True)

    def secret_keys(self) -> list[SecretKey]:
        """Describe every secret key on the token, whoever made it."""
        with self._login.lent("list") as session:
            return foreign.secret_keys(session)

    def close(self) -> None:
        """Log out. May be called again, and never raises."""
        self._login.close()

    def _ready(self, object_id: str, *, copies: bool) -> int:
        """Answer the handle to use for the key, with a working session. The caller holds the lock."""
        login = self._login
        handle = (login.copies if copies else login.handles).get(object_id)
        if handle is None or login.working is None or login.over:
            with login.lent("find") as session:
                if handle is None:
                    handle = login.handles.get(object_id) or self._find(session, object_id, born_here=False)
                    handle = login.copied(object_id, handle) if copies else handle
        return handle

    def _find(self, session: PyKCS11.Session, object_id: str, *, born_here: bool) -> int:
        found = self._only(session, object_id)
        if wrong := key.faults(session, found, object_id, born_here=born_here):
            raise KeyNotFoundError(object_id, f"not as demanded: {', '.join(wrong)}")
        self._seen.add(object_id)
        handle: int = found.value()
        self._login.handles[object_id] = handle
        return handle

    def _only(self, session: PyKCS11.Session, object_id: str) -> CK_OBJECT_HANDLE:
        wanted = key.search(object_id)
        # A search reads every object of the token, so looking for all of them one by one would be quadratic.
        found = self._login.listed.get(object_id) or session.findObjects(wanted)
        if not found and self._all(session) and object_id in self._seen:
            raise TokenLostError(f"key {object_id} has gone")
        if len(found) != 1:
            raise KeyNotFoundError(object_id, f"{len(found)} objects have this id")
        return found[0]

    def _all(self, session: PyKCS11.Session) -> list[CK_OBJECT_HANDLE]:
        found: list[CK_OBJECT_HANDLE] = session.findObjects(foreign.LASTING)
        if self._populated and not found:
            # SoftHSM finds nothing, and reports no error, when the files of its objects are no longer there.
            raise TokenLostError("the objects of the token have gone")
        return found

    def _still_encrypts(self, handle: int) -> bool:
        """Ask a fresh session whether the key works, for a bad tag and a broken token answer alike."""
        login = self._login
        try:
            login.work()
            login.direct.encrypt(login.number, handle, os.urandom(key.NONCE_SIZE), b"?", b"?")
        except PyKCS11Error:
            return False
        return True


def _demand(nonce: bytes, aad: bytes) -> None:
    if len(nonce) != key.NONCE_SIZE:
        # SoftHSM takes an empty IV too, and makes 16 zero bytes of it.
        raise ValueError(f"a nonce has {key.NONCE_SIZE} bytes")
    if not aad:
        # Without any, SoftHSM 2.6.1 aborts the process where it was built hardened (SoftHSMv2#605, #664).
        raise ValueError("there is no additional data")
