"""RSA-OAEP as PKCS#11 has it: what was closed outside to a key pair's public half is opened in the token.

No label is given to it: SoftHSM 2.6.1 takes none. The hash is that of the mask as well.
"""

import ctypes
from ctypes import byref, sizeof
from enum import Enum

from softhsm.pkcs11.constants import (
    CKG_MGF1_SHA1,
    CKG_MGF1_SHA256,
    CKM_RSA_PKCS_OAEP,
    CKM_SHA256,
    CKM_SHA_1,
    CKZ_DATA_SPECIFIED,
)
from softhsm.pkcs11.errors import SUSPECT, LostError, SuspectError, demand, name
from softhsm.pkcs11.layout import ULONG, Mechanism, OaepParameters
from softhsm.pkcs11.module import Module


class Hash(Enum):
    """The better one first."""

    SHA256 = "sha256"
    SHA1 = "sha1"


_NUMBERS = {Hash.SHA256: (CKM_SHA256, CKG_MGF1_SHA256), Hash.SHA1: (CKM_SHA_1, CKG_MGF1_SHA1)}


def decrypt(module: Module, session: int, key: int, used: Hash, ciphertext: bytes) -> bytes:
    """Raises `SuspectError` for what may be a ciphertext of another key, or of none."""
    parameters = OaepParameters(*_NUMBERS[used], CKZ_DATA_SPECIFIED, None, 0)
    mechanism = Mechanism(CKM_RSA_PKCS_OAEP, ctypes.addressof(parameters), sizeof(parameters))
    module.call("C_DecryptInit", session, byref(mechanism), key)
    # As long as the modulus: some want room for what the padding takes as well.
    out, size = ctypes.create_string_buffer(len(ciphertext)), ULONG(len(ciphertext))
    code = module.code("C_Decrypt", session, ciphertext, len(ciphertext), out, byref(size))
    if code in SUSPECT:
        raise SuspectError(f"C_Decrypt: {name(code)}", code)
    demand(code, "C_Decrypt")
    if size.value > len(ciphertext):
        raise LostError(f"C_Decrypt: {size.value} bytes for {len(ciphertext)} of ciphertext")
    plaintext = out.raw[: size.value]
    ctypes.memset(out, 0, len(ciphertext))
    return plaintext
