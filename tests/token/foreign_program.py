"""A token as the original kleidi and the Kubernetes mock have theirs made, and what they write with it.

They run `softhsm2-util --init-token --free --label L --pin P --so-pin P` and then
`pkcs11-tool --keygen --key-type aes:32 --pin P --token-label L --label K`: here are the same calls, with the
attributes that OpenSC 0.23 sets.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PyKCS11
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from PyKCS11 import CK_FALSE, CK_TRUE

from softhsm import Library

PIN = "1234"

_KEYGEN = {
    PyKCS11.CKA_CLASS: PyKCS11.CKO_SECRET_KEY,
    PyKCS11.CKA_KEY_TYPE: PyKCS11.CKK_AES,
    PyKCS11.CKA_TOKEN: CK_TRUE,
    PyKCS11.CKA_PRIVATE: CK_FALSE,
    PyKCS11.CKA_ENCRYPT: CK_TRUE,
    PyKCS11.CKA_DECRYPT: CK_TRUE,
    PyKCS11.CKA_VERIFY: CK_TRUE,
    PyKCS11.CKA_WRAP: CK_TRUE,
    PyKCS11.CKA_UNWRAP: CK_TRUE,
    PyKCS11.CKA_VALUE_LEN: 32,
}


class ForeignProgram:
    def __init__(self, library: Library, tokens: Path) -> None:
        self.library = library
        self.tokens = tokens

    def init_token(self, label: str, pin: str = PIN) -> str:
        """Answer the serial."""
        with self._loaded() as pkcs11:
            # The free slot is the last.
            slot = pkcs11.getSlotList(tokenPresent=True)[-1]
            pkcs11.initToken(slot, pin, label.ljust(32))
            with _opened(pkcs11, slot, pin, PyKCS11.CKU_SO) as session:
                session.initPin(pin)
            return str(pkcs11.getTokenInfo(slot).serialNumber)

    def keygen(self, serial: str, label: str, changes: dict[int, Any] | None = None) -> None:
        wanted = _KEYGEN | {PyKCS11.CKA_LABEL: label} | (changes or {})
        with self.session(serial) as session:
            session.generateKey(list(wanted.items()))

    @contextmanager
    def session(self, serial: str) -> Iterator[PyKCS11.Session]:
        with self._loaded() as pkcs11:
            slots = pkcs11.getSlotList(tokenPresent=True)
            (slot,) = (s for s in slots if pkcs11.getTokenInfo(s).serialNumber.strip() == serial)
            with _opened(pkcs11, slot, PIN, PyKCS11.CKU_USER) as session:
                yield session

    def written(self, plaintext: bytes, label: str) -> bytes:
        """What their server answers to Encrypt; made without SoftHSM, for the only key lies in the clear."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.value()).encrypt(nonce, plaintext, label.encode())

    def value(self) -> bytes:
        """The only key."""
        (path,) = (path for path in self.tokens.glob("*/*.object") if path.name != "token.object")
        content = path.read_bytes()
        # Type and kind (3: bytes) of the attribute, then its length, all in 64 bits.
        start = content.index(struct.pack(">QQQ", PyKCS11.CKA_VALUE, 3, 32)) + 24
        return content[start : start + 32]

    @contextmanager
    def _loaded(self) -> Iterator[PyKCS11.PyKCS11Lib]:
        # The module has one configuration at a time: it must not be ours.
        self.library.unload()
        configuration = self.tokens.with_name("foreign.conf")
        configuration.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        pkcs11 = PyKCS11.PyKCS11Lib()
        pkcs11.load(str(self.library.module))
        try:
            yield pkcs11
        finally:
            pkcs11.unload()
            configuration.unlink()


@contextmanager
def _opened(pkcs11: PyKCS11.PyKCS11Lib, slot: int, pin: str, user: int) -> Iterator[PyKCS11.Session]:
    session = pkcs11.openSession(slot, PyKCS11.CKF_RW_SESSION)
    try:
        session.login(pin, user)
        yield session
        session.logout()
    finally:
        session.closeSession()
