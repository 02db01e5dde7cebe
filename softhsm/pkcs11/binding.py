"""The binary interface: structures of PKCS#11 2.40 and 3.x, and the functions that a module's list points to.

Only C_GetFunctionList is looked up by name: NSS exports no other. ctypes lets the interpreter's lock go
while a function runs. What a single call is given is in `layout`.
"""

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_ubyte, c_void_p
from typing import Any, Final

from softhsm.pkcs11.layout import ULONG, Attribute, Mechanism

UNAVAILABLE: Final = ULONG(-1).value  # CK_UNAVAILABLE_INFORMATION; of a session limit: not known
_UNKNOWN: Final = ULONG(-2).value  # what p11-kit and others answer for "not known"
NO_LIMITS: Final = frozenset((0, UNAVAILABLE, _UNKNOWN))


class Version(Structure):
    _fields_ = (("major", c_ubyte), ("minor", c_ubyte))


class Info(Structure):
    _fields_ = (
        ("cryptoki", Version),
        ("maker", c_ubyte * 32),
        ("flags", ULONG),
        ("about", c_ubyte * 32),
        ("version", Version),
    )


class TokenInfo(Structure):
    _fields_ = (
        ("label", c_ubyte * 32),
        ("maker", c_ubyte * 32),
        ("model", c_ubyte * 16),
        ("serial", c_ubyte * 16),
        ("flags", ULONG),
        ("max_sessions", ULONG),
        ("sessions", ULONG),
        ("max_rw_sessions", ULONG),
        ("rw_sessions", ULONG),
        ("max_pin", ULONG),
        ("min_pin", ULONG),
        ("memory", ULONG * 4),
        ("hardware", Version),
        ("firmware", Version),
        ("time", c_ubyte * 16),
    )


class SessionInfo(Structure):
    _fields_ = (("slot", ULONG), ("state", ULONG), ("flags", ULONG), ("device_error", ULONG))


class MechanismInfo(Structure):
    _fields_ = (("least", ULONG), ("most", ULONG), ("flags", ULONG))


class InitializeArguments(Structure):
    """CK_C_INITIALIZE_ARGS; *parameters* is the standard's pReserved, where NSS and others take a string.

    NSS declares one field more behind it, which must be null.
    """

    _fields_ = (
        ("create", c_void_p),
        ("destroy", c_void_p),
        ("lock", c_void_p),
        ("unlock", c_void_p),
        ("flags", ULONG),
        ("parameters", c_char_p),
        ("reserved", c_void_p),
    )


_SEQUENCE: Final = """
    C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
    C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession
    C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout
    C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
    C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate
    C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest
    C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit
    C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
    C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey
    C_GenerateKeyPair
""".split()  # noqa: SIM905  59 lines as a list


class FunctionList(Structure):
    """CK_FUNCTION_LIST as far as C_GenerateKeyPair; nothing behind it is used."""

    _fields_ = (("version", Version), *((name, c_void_p) for name in _SEQUENCE))


_FLAG, _HANDLE = c_ubyte, ULONG
_BYTES, _COUNT, _INSIDE = c_void_p, POINTER(ULONG), POINTER(Mechanism)
PROTOTYPES: Final[dict[str, Any]] = {
    name: CFUNCTYPE(ULONG, *arguments)  # type: ignore[arg-type]  # of several sorts
    for name, arguments in {
        "C_Initialize": (c_void_p,),
        "C_Finalize": (c_void_p,),
        "C_GetInfo": (POINTER(Info),),
        "C_GetSlotList": (_FLAG, c_void_p, _COUNT),
        "C_GetTokenInfo": (ULONG, POINTER(TokenInfo)),
        "C_GetMechanismInfo": (ULONG, ULONG, POINTER(MechanismInfo)),
        "C_OpenSession": (ULONG, ULONG, c_void_p, c_void_p, _COUNT),
        "C_CloseSession": (_HANDLE,),
        "C_GetSessionInfo": (_HANDLE, POINTER(SessionInfo)),
        "C_Login": (_HANDLE, ULONG, _BYTES, ULONG),
        "C_Logout": (_HANDLE,),
        "C_DestroyObject": (_HANDLE, _HANDLE),
        "C_GetAttributeValue": (_HANDLE, _HANDLE, POINTER(Attribute), ULONG),
        "C_FindObjectsInit": (_HANDLE, c_void_p, ULONG),
        "C_FindObjects": (_HANDLE, c_void_p, ULONG, _COUNT),
        "C_FindObjectsFinal": (_HANDLE,),
        "C_EncryptInit": (_HANDLE, _INSIDE, _HANDLE),
        "C_Encrypt": (_HANDLE, _BYTES, ULONG, _BYTES, _COUNT),
        "C_DecryptInit": (_HANDLE, _INSIDE, _HANDLE),
        "C_Decrypt": (_HANDLE, _BYTES, ULONG, _BYTES, _COUNT),
        "C_GenerateKey": (_HANDLE, _INSIDE, c_void_p, ULONG, _COUNT),
        "C_GenerateKeyPair": (_HANDLE, _INSIDE, c_void_p, ULONG, c_void_p, ULONG, _COUNT, _COUNT),
    }.items()
}


class Functions:
    """A module's functions by the standard's names; each answers a CKR code."""

    def __init__(self, listed: FunctionList) -> None:
        self._listed = listed  # its callbacks may be ours, in a test
        self._found = {name: kind(getattr(listed, name) or 0) for name, kind in PROTOTYPES.items()}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  a ctypes function
        return self._found[name]

    @property
    def missing(self) -> list[str]:
        """The names of which the list has no address: calling one would end the process."""
        return [name for name in PROTOTYPES if not getattr(self._listed, name)]


def listed(library: ctypes.CDLL) -> Functions:
    """Ask C_GetFunctionList. Raises AttributeError without it, and ValueError when it gives none."""
    ask = library.C_GetFunctionList
    ask.restype, ask.argtypes = ULONG, (POINTER(POINTER(FunctionList)),)
    pointer = POINTER(FunctionList)()
    if ask(byref(pointer)) or not pointer:
        raise ValueError("C_GetFunctionList gives no functions")
    return Functions(pointer.contents)


def text(field: Any) -> str:  # noqa: ANN401  an array of bytes
    """A padded field. Some pad with NULs, and some write what is not UTF-8."""
    return bytes(field).split(b"\0")[0].decode(errors="replace").rstrip(" ")
