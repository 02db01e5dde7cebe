"""One session: objects are looked for, made and removed, data goes through them. One thread at a time."""

import ctypes
from contextlib import suppress
from ctypes import byref, c_void_p
from typing import Final

from softhsm.pkcs11 import binding
from softhsm.pkcs11.constants import (
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKM_AES_KEY_GEN,
    CKM_RSA_PKCS_KEY_PAIR_GEN,
    CKO_SECRET_KEY,
    USER_STATES,
    Cka,
    Ckr,
)
from softhsm.pkcs11.errors import Pkcs11Error
from softhsm.pkcs11.gcm import Gcm
from softhsm.pkcs11.layout import ULONG, Attribute, Mechanism
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.template import Template, Value

_MAX_VALUE: Final = 1024  # bytes of an attribute
_AT_ONCE: Final = 64  # handles


class Session:
    def __init__(self, module: Module, slot: int, *, writes: bool = False) -> None:
        flags = CKF_SERIAL_SESSION | (CKF_RW_SESSION if writes else 0)
        handle = ULONG()
        module.call("C_OpenSession", slot, flags, None, None, byref(handle))
        self.module = module
        self.handle = handle.value

    def close(self) -> None:
        """Never raises: what is closed has often gone already."""
        with suppress(Pkcs11Error):
            self.module.call("C_CloseSession", self.handle)

    @property
    def logged_in(self) -> bool:
        info = binding.SessionInfo()
        self.module.call("C_GetSessionInfo", self.handle, byref(info))
        return info.state in USER_STATES

    def find(self, *, identity: bytes = b"", label: str = "", kind: int = CKO_SECRET_KEY) -> list[int]:
        """Handles of the keys of a class with this CKA_ID, or with this label."""
        wanted: dict[Cka, Value] = {Cka.CLASS: kind}
        if identity:
            wanted[Cka.ID] = identity
        if label:
            wanted[Cka.LABEL] = label.encode()
        template = Template(wanted)
        self.module.call("C_FindObjectsInit", self.handle, template.pointer, template.count)
        found: list[int] = []
        while True:
            handles, count = (ULONG * _AT_ONCE)(), ULONG()
            self.module.call(
                "C_FindObjects", self.handle, ctypes.cast(handles, c_void_p), _AT_ONCE, byref(count)
            )
            found += handles[: count.value]
            if not count.value:
                break
        self.module.call("C_FindObjectsFinal", self.handle)
        return found

    def attribute(self, key: int, kind: Cka, size: int = _MAX_VALUE) -> bytes | None:
        """One attribute, asked for alone: modules refuse a whole list for one. None: it does not say.

        *size* is what it must fit into. NSS gives a number only into room for exactly one.
        """
        value = ctypes.create_string_buffer(size)
        row = Attribute(kind, ctypes.addressof(value), size)
        code = self.module.code("C_GetAttributeValue", self.handle, key, byref(row), 1)
        if code != Ckr.OK or row.size in binding.NO_LIMITS - {0} or row.size > size:
            return None
        return value.raw[: row.size]

    def generate(self, values: dict[Cka, Value]) -> int:
        """A new AES key. One that lasts needs a session that writes."""
        template, handle = Template(values), ULONG()
        mechanism = Mechanism(CKM_AES_KEY_GEN, None, 0)
        self.module.call(
            "C_GenerateKey",
            self.handle,
            byref(mechanism),
            template.pointer,
            template.count,
            byref(handle),
        )
        return handle.value

    def generate_pair(self, public: dict[Cka, Value], private: dict[Cka, Value]) -> tuple[int, int]:
        """A new RSA key pair, the public key first."""
        outer, inner = Template(public), Template(private)
        handles = ULONG(), ULONG()
        mechanism = Mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN, None, 0)
        self.module.call(
            "C_GenerateKeyPair",
            self.handle,
            byref(mechanism),
            outer.pointer,
            outer.count,
            inner.pointer,
            inner.count,
            *map(byref, handles),
        )
        return handles[0].value, handles[1].value

    def destroy(self, key: int) -> None:
        self.module.call("C_DestroyObject", self.handle, key)

    def encrypt(self, key: int, nonce: bytes, plaintext: bytes, aad: bytes) -> tuple[bytes, bytes]:
        """The nonce that was used, and the ciphertext with its tag behind it."""
        gcm = Gcm(nonce, aad)
        ciphertext = gcm.encrypt(self.module, self.handle, key, plaintext)
        return gcm.nonce, ciphertext

    def decrypt(self, key: int, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        return Gcm(nonce, aad).decrypt(self.module, self.handle, key, ciphertext)
