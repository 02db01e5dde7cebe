"""What a key must be, what it should be, and lists of attributes as the module reads them."""

import ctypes
from collections.abc import Mapping
from ctypes import c_void_p
from typing import Final

from softhsm.pkcs11.constants import CKK_AES, CKM_AES_GCM, CKO_SECRET_KEY, Cka
from softhsm.pkcs11.layout import ULONG, Attribute

Value = bool | int | bytes

KEY_SIZE: Final = 32  # bytes

# All spelled out: of what is left to it each module thinks otherwise.
DEMANDED: Final[dict[Cka, Value]] = {
    Cka.CLASS: ULONG(CKO_SECRET_KEY).value,
    Cka.KEY_TYPE: CKK_AES,
    Cka.VALUE_LEN: KEY_SIZE,
    Cka.TOKEN: True,
    Cka.PRIVATE: True,
    Cka.SENSITIVE: True,
    Cka.EXTRACTABLE: False,
    Cka.ENCRYPT: True,
    Cka.DECRYPT: True,
}
# Refused here and there: by openCryptoki as unknown, by NSS as CKR_GENERAL_ERROR.
WISHED: Final[dict[Cka, Value]] = {
    Cka.SIGN: False,
    Cka.VERIFY: False,
    Cka.WRAP: False,
    Cka.UNWRAP: False,
    Cka.DERIVE: False,
    Cka.MODIFIABLE: False,
    Cka.COPYABLE: False,
    Cka.DESTROYABLE: True,
    # An array of native unsigned longs.
    Cka.ALLOWED_MECHANISMS: bytes(ULONG(CKM_AES_GCM)),
}
RARE: Final = (Cka.MODIFIABLE, Cka.DESTROYABLE, Cka.COPYABLE, Cka.ALLOWED_MECHANISMS)
# Without these it is none of our keys; a module that does not say is believed.
KIND: Final = (Cka.CLASS, Cka.KEY_TYPE, Cka.VALUE_LEN, Cka.ENCRYPT, Cka.DECRYPT)
# What nobody can take back once it was otherwise.
GUARDS: Final = (Cka.SENSITIVE, Cka.EXTRACTABLE, Cka.PRIVATE, Cka.TOKEN)
# Set by the token alone. NSS leaves it false, so that it is told and no more.
BIRTH: Final[dict[Cka, Value]] = {Cka.LOCAL: True, Cka.NEVER_EXTRACTABLE: True}


class Template:
    """Attributes with their values, kept alive as long as this is."""

    def __init__(self, values: Mapping[Cka, Value]) -> None:
        raw = [encoded(value) for value in values.values()]
        self._kept = [ctypes.create_string_buffer(each, len(each)) for each in raw]
        rows = [
            Attribute(kind, ctypes.addressof(kept), len(kept.raw))
            for kind, kept in zip(values, self._kept, strict=True)
        ]
        self._rows = (Attribute * len(rows))(*rows)
        self.pointer = ctypes.cast(self._rows, c_void_p)
        self.count = len(rows)


def encoded(value: Value) -> bytes:
    """CK_BBOOL, CK_ULONG, or bytes as they are."""
    if isinstance(value, bool):
        return bytes([value])
    return bytes(ULONG(value)) if isinstance(value, int) else value
