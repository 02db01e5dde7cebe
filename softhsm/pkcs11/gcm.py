"""AES-GCM as PKCS#11 has it: one Init and one call, a nonce of 96 bits, a tag of 128.

No size is asked for first: NSS answers 32 where 48 are needed. Some modules put a nonce of their own in the
place of ours (AWS CloudHSM), so that what was used is read from where it was given.
"""

import ctypes
from ctypes import byref, sizeof
from typing import Final

from softhsm.pkcs11.constants import CKM_AES_GCM
from softhsm.pkcs11.errors import SUSPECT, LostError, SuspectError, demand, name
from softhsm.pkcs11.layout import ULONG, GcmParameters, Mechanism
from softhsm.pkcs11.module import Module

NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16


class Gcm:
    """The mechanism for one call, which owns all that it points to."""

    def __init__(self, nonce: bytes, aad: bytes) -> None:
        if len(nonce) != NONCE_SIZE:
            raise ValueError(f"a nonce has {NONCE_SIZE} bytes")
        if not aad:
            # Without any, SoftHSM 2.6.1 aborts the process where it was built hardened (SoftHSMv2#605, #664).
            raise ValueError("there is no additional data")
        self._nonce = ctypes.create_string_buffer(nonce, NONCE_SIZE)
        self._aad = ctypes.create_string_buffer(aad, len(aad))
        self._parameters = GcmParameters(
            ctypes.addressof(self._nonce),
            NONCE_SIZE,
            NONCE_SIZE * 8,
            ctypes.addressof(self._aad),
            len(aad),
            TAG_SIZE * 8,
        )
        self._mechanism = Mechanism(CKM_AES_GCM, ctypes.addressof(self._parameters), sizeof(self._parameters))

    @property
    def nonce(self) -> bytes:
        """The one that was used, once it was."""
        return self._nonce.raw

    def encrypt(self, module: Module, session: int, key: int, plaintext: bytes) -> bytes:
        """The ciphertext with its tag behind it."""
        if not plaintext:
            raise ValueError("there is no plaintext")
        module.call("C_EncryptInit", session, byref(self._mechanism), key)
        out, size = _room(len(plaintext) + TAG_SIZE)
        module.call("C_Encrypt", session, plaintext, len(plaintext), out, byref(size))
        if size.value != len(plaintext) + TAG_SIZE:
            raise LostError(f"C_Encrypt: {size.value} bytes for {len(plaintext)} of plaintext")
        return out.raw[: size.value]

    def decrypt(self, module: Module, session: int, key: int, ciphertext: bytes) -> bytes:
        """Raises `SuspectError` for what may be a wrong tag."""
        if len(ciphertext) <= TAG_SIZE:
            raise ValueError("the ciphertext is no longer than its tag")
        module.call("C_DecryptInit", session, byref(self._mechanism), key)
        # SoftHSM wants room for the tag as well.
        out, size = _room(len(ciphertext))
        code = module.code("C_Decrypt", session, ciphertext, len(ciphertext), out, byref(size))
        if code in SUSPECT:
            raise SuspectError(f"C_Decrypt: {name(code)}", code)
        demand(code, "C_Decrypt")
        if size.value != len(ciphertext) - TAG_SIZE:
            raise LostError(f"C_Decrypt: {size.value} bytes for {len(ciphertext)} of ciphertext")
        return out.raw[: size.value]


def _room(size: int) -> tuple[ctypes.Array[ctypes.c_char], ULONG]:
    return ctypes.create_string_buffer(size), ULONG(size)
