"""A key encryption key as the token sees it: the template it is made with, the check that it still fits.

Its object id is its CKA_ID in 32 hex digits. A key that another program made has `label:` and its label
instead, and `foreign` says what is asked of it.
"""

import re
import struct
from typing import Any, Final

import PyKCS11
from PyKCS11 import (
    CK_FALSE,
    CK_OBJECT_HANDLE,
    CK_TRUE,
    CKA_ALLOWED_MECHANISMS,
    CKA_ALWAYS_SENSITIVE,
    CKA_CLASS,
    CKA_COPYABLE,
    CKA_DECRYPT,
    CKA_DERIVE,
    CKA_DESTROYABLE,
    CKA_ENCRYPT,
    CKA_EXTRACTABLE,
    CKA_ID,
    CKA_KEY_TYPE,
    CKA_LABEL,
    CKA_LOCAL,
    CKA_MODIFIABLE,
    CKA_NEVER_EXTRACTABLE,
    CKA_PRIVATE,
    CKA_SENSITIVE,
    CKA_SIGN,
    CKA_TOKEN,
    CKA_UNWRAP,
    CKA_VALUE_LEN,
    CKA_VERIFY,
    CKA_WRAP,
    CKK_AES,
    CKM_AES_GCM,
    CKO_SECRET_KEY,
    ckbytelist,
)

from softhsm import foreign

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16

_OBJECT_ID: Final = re.compile(r"[0-9a-f]{32}")

_KIND: Final = {CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES}

# All spelled out, for SoftHSM's defaults are bad: SENSITIVE would be False, WRAP and SIGN True, and an object
# that is not PRIVATE is stored in the clear. No START_DATE or END_DATE: neither is enforced, and reading them
# on a private key fails.
_GUARDS: Final = {
    CKA_TOKEN: True,
    CKA_PRIVATE: True,
    CKA_SENSITIVE: True,
    CKA_EXTRACTABLE: False,
    CKA_ENCRYPT: True,
    CKA_DECRYPT: True,
    CKA_SIGN: False,
    CKA_VERIFY: False,
    CKA_WRAP: False,
    CKA_UNWRAP: False,
    CKA_DERIVE: False,
    CKA_DESTROYABLE: True,
}
# SoftHSM copies what is both, and keys are served from copies (docs/adr/0010). Older ones are neither.
_COPIED: Final = {CKA_MODIFIABLE: True, CKA_COPYABLE: True}

# Set by the token alone; true of a key made on it, never of one brought in.
_BIRTH: Final = {CKA_LOCAL: True, CKA_ALWAYS_SENSITIVE: True, CKA_NEVER_EXTRACTABLE: True}


def identity(object_id: str) -> bytes:
    """The CKA_ID that *object_id* writes in hex."""
    if not _OBJECT_ID.fullmatch(object_id):
        raise ValueError("an object id is 32 lower-case hex digits")
    return bytes.fromhex(object_id)


def search(object_id: str) -> list[tuple[int, Any]]:
    """The template that finds *object_id*."""
    return foreign.search(object_id) or [*foreign.LASTING, (CKA_ID, identity(object_id))]


def template(object_id: str, label: str) -> list[tuple[int, Any]]:
    """Everything a key needs except its value or its length."""
    return [
        *_KIND.items(),
        *(
            (attribute, CK_TRUE if demanded else CK_FALSE)
            for attribute, demanded in (_GUARDS | _COPIED).items()
        ),
        # SoftHSM enforces this list and never lets it grow. It is an array of native unsigned longs.
        (CKA_ALLOWED_MECHANISMS, ckbytelist(struct.pack("@L", CKM_AES_GCM))),
        (CKA_ID, identity(object_id)),
        (CKA_LABEL, label),
    ]


def newborn(object_id: str, label: str) -> list[tuple[int, Any]]:
    """The template for a key to be generated."""
    return [*template(object_id, label), (CKA_VALUE_LEN, KEY_SIZE)]


def faults(
    session: PyKCS11.Session, handle: CK_OBJECT_HANDLE, object_id: str, *, born_here: bool
) -> list[str]:
    """Name the attributes of the key *object_id* that are not as demanded.

    C_GetAttributeValue can write (it completes an object that another process has half made), so this is for
    a key's first use and never for every call.
    """
    if foreign.search(object_id):
        return foreign.faults(session, handle)
    demanded = _KIND | {CKA_VALUE_LEN: KEY_SIZE} | _GUARDS | (_BIRTH if born_here else {})
    asked = [*demanded, *_COPIED, CKA_ALLOWED_MECHANISMS]
    found = dict(zip(asked, session.getAttributeValue(handle, asked), strict=True))
    wrong = [attribute for attribute, value in demanded.items() if found[attribute] != value]
    if {found[attribute] for attribute in _COPIED} not in ({True}, {False}):
        wrong += _COPIED
    mechanisms = found[CKA_ALLOWED_MECHANISMS]
    if mechanisms is None or bytes(mechanisms) != struct.pack("@L", CKM_AES_GCM):
        wrong.append(CKA_ALLOWED_MECHANISMS)
    return [PyKCS11.CKA[attribute] for attribute in wrong]
