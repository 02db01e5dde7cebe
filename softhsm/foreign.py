"""Keys that another program made on its own token: known by their label, and taken as they are."""

from dataclasses import dataclass
from typing import Any, Final

import PyKCS11
from PyKCS11 import (
    CK_OBJECT_HANDLE,
    CK_TRUE,
    CKA_CLASS,
    CKA_DECRYPT,
    CKA_ENCRYPT,
    CKA_EXTRACTABLE,
    CKA_ID,
    CKA_KEY_TYPE,
    CKA_LABEL,
    CKA_PRIVATE,
    CKA_SENSITIVE,
    CKA_TOKEN,
    CKA_VALUE_LEN,
    CKK_AES,
    CKO_SECRET_KEY,
)

_PREFIX: Final = "label:"
# What lies on the token: a copy for a session alone is like its key in all else.
LASTING: Final = [(CKA_TOKEN, CK_TRUE)]
_SECRET_KEYS: Final = [*LASTING, (CKA_CLASS, CKO_SECRET_KEY)]
# SoftHSM notes no length for a key that was unwrapped; using the key then shows whether AES has one such.
_SIZES: Final = (0, 16, 24, 32)


@dataclass(frozen=True)
class SecretKey:
    """What a token says of one of its secret keys. Without *private* it is stored in the clear."""

    label: str
    object_id: str
    key_type: str
    bits: int
    private: bool
    sensitive: bool
    extractable: bool


def labelled(label: str) -> str:
    """The object id of the key with this *label*."""
    if not label or "\0" in label:
        # PyKCS11 would cut it there, and SoftHSM then find another label.
        raise ValueError("a key label has at least one character, and no NUL")
    return _PREFIX + label


def search(object_id: str) -> list[tuple[int, Any]] | None:
    """The template that finds *object_id*, or None if that is not of the form `label:…`."""
    if not object_id.startswith(_PREFIX):
        return None
    label = object_id.removeprefix(_PREFIX)
    labelled(label)
    return [*_SECRET_KEYS, (CKA_KEY_TYPE, CKK_AES), (CKA_LABEL, label)]


def faults(session: PyKCS11.Session, handle: CK_OBJECT_HANDLE) -> list[str]:
    """Name what keeps a key from doing what it is taken over for, and no more."""
    length, *usable = session.getAttributeValue(handle, asked := [CKA_VALUE_LEN, CKA_ENCRYPT, CKA_DECRYPT])
    fits = [(length or 0) in _SIZES, *(bool(use) for use in usable)]
    return [PyKCS11.CKA[attribute] for attribute, fit in zip(asked, fits, strict=True) if not fit]


def secret_keys(session: PyKCS11.Session) -> list[SecretKey]:
    """Describe every secret key on the token, of whatever kind, in the order of their labels."""
    found = [_described(session, handle) for handle in session.findObjects(_SECRET_KEYS)]
    return sorted(found, key=lambda key: (key.label, key.object_id))


def _described(session: PyKCS11.Session, handle: CK_OBJECT_HANDLE) -> SecretKey:
    # As bytes: PyKCS11 makes nothing at all of a label that is no UTF-8.
    label, cka_id = (
        bytes(value or b"")
        for value in session.getAttributeValue(handle, [CKA_LABEL, CKA_ID], allAsBinary=True)
    )
    kind, length = session.getAttributeValue(handle, [CKA_KEY_TYPE, CKA_VALUE_LEN])
    guards = session.getAttributeValue(handle, [CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE])
    return SecretKey(
        label.decode(errors="backslashreplace"),
        cka_id.hex(),
        str(PyKCS11.CKK.get(kind, kind)).removeprefix("CKK_"),
        (length or 0) * 8,
        *map(bool, guards),
    )
