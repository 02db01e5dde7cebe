"""What PyKCS11 spends most of a call on, or lacks, by the module's own functions: AES-GCM, and a key's copy.

ctypes holds the interpreter's lock here, as PyKCS11 does (docs/adr/0004). It has the very module that PyKCS11
loaded, whose sessions and handles it is given as numbers. For one call at a time: the caller holds the lock
of `lifetime`.
"""

import ctypes
import os
from ctypes import POINTER, addressof, byref, c_char_p, c_void_p, sizeof
from pathlib import Path
from typing import Any, Final

from PyKCS11 import CKA_TOKEN, CKM_AES_GCM, CKR_DEVICE_ERROR, PyKCS11Error

from softhsm import module
from softhsm.key import NONCE_SIZE, TAG_SIZE
from softhsm.pkcs11.layout import ULONG, Attribute, GcmParameters, Mechanism

_ROOM: Final = 4096  # bytes of output; who asks for more gets more, for that call


class Direct:
    """Buffers and structures are made once, and what one points to lives as long as it."""

    def __init__(self, path: Path) -> None:
        # Nothing is loaded here: it is there, or this fails.
        self._library = ctypes.PyDLL(str(path), os.RTLD_NOW | os.RTLD_NOLOAD)
        self._encrypt, self._decrypt = self._pair("Encrypt"), self._pair("Decrypt")
        self._copy = self._function("C_CopyObject", ULONG, ULONG, POINTER(Attribute), ULONG, POINTER(ULONG))
        self._gcm = GcmParameters(iv_size=NONCE_SIZE, iv_bits=8 * NONCE_SIZE, tag_bits=8 * TAG_SIZE)
        # The structure's two pointers, each of which holds on to the bytes that it points to.
        self._iv = c_char_p.from_buffer(self._gcm, GcmParameters.iv.offset)
        self._aad = c_char_p.from_buffer(self._gcm, GcmParameters.aad.offset)
        self._mechanism = Mechanism(CKM_AES_GCM, addressof(self._gcm), sizeof(self._gcm))
        self._output, self._size = ctypes.create_string_buffer(_ROOM), ULONG()
        # Passed as numbers, since a pointer that is made for each call costs as much as the call.
        self._mechanism_at, self._output_at, self._size_at = map(
            addressof, (self._mechanism, self._output, self._size)
        )

    def encrypt(self, session: int, key: int, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """The ciphertext with its tag behind it. Raises PyKCS11Error; *plaintext* and *aad* are not empty."""
        return self._run(self._encrypt, session, key, nonce, plaintext, aad, TAG_SIZE)

    def decrypt(self, session: int, key: int, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Raises PyKCS11Error; *ciphertext* is longer than its tag."""
        opened = self._run(self._decrypt, session, key, nonce, ciphertext, aad, -TAG_SIZE)
        # No plaintext stays behind.
        ctypes.memset(self._output_at, 0, min(len(opened), _ROOM))
        return opened

    def copied(self, session: int, key: int) -> int | None:
        """A copy of *key* that lives in memory, as long as *session*; None where the token refuses.

        It is in every search of the token's objects that does not ask for CKA_TOKEN.
        """
        no, made = ctypes.c_ubyte(0), ULONG()
        template = Attribute(CKA_TOKEN, addressof(no), sizeof(no))
        return None if self._copy(session, key, byref(template), 1, byref(made)) else made.value

    def close(self) -> None:
        """Let go of the module; nothing else may be called any more."""
        module.let_go(self._library)

    def _run(  # noqa: PLR0913, PLR0917  what the two functions want
        self,
        pair: tuple[Any, Any],
        session: int,
        key: int,
        nonce: bytes,
        data: bytes,
        aad: bytes,
        growth: int,
    ) -> bytes:
        begin, end = pair
        size, output = self._size, self._output_at
        self._iv.value, self._aad.value, self._gcm.aad_size = nonce, aad, len(aad)
        size.value = _ROOM
        if len(data) + TAG_SIZE > _ROOM:
            # SoftHSM wants room for the tag when it decrypts, too.
            larger = ctypes.create_string_buffer(len(data) + TAG_SIZE)
            size.value, output = len(larger), addressof(larger)
        if refused := (
            begin(session, self._mechanism_at, key) or end(session, data, len(data), output, self._size_at)
        ):
            raise PyKCS11Error(refused)
        if size.value != len(data) + growth:
            # Whatever that is, it is not what was asked for.
            raise PyKCS11Error(CKR_DEVICE_ERROR)
        return ctypes.string_at(output, size.value)

    def _pair(self, name: str) -> tuple[Any, Any]:
        return (
            self._function(f"C_{name}Init", ULONG, c_void_p, ULONG),
            self._function(f"C_{name}", ULONG, c_char_p, ULONG, c_void_p, c_void_p),
        )

    def _function(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401  types and functions of ctypes
        function = self._library[name]
        function.restype, function.argtypes = ULONG, arguments
        return function
