"""What can go wrong in the token room, named by what the caller should do about it."""

from typing import Final

from PyKCS11 import (
    CKR_AEAD_DECRYPT_FAILED,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_DATA_INVALID,
    CKR_DATA_LEN_RANGE,
    CKR_DEVICE_ERROR,
    CKR_DEVICE_REMOVED,
    CKR_ENCRYPTED_DATA_INVALID,
    CKR_ENCRYPTED_DATA_LEN_RANGE,
    CKR_GENERAL_ERROR,
    CKR_KEY_HANDLE_INVALID,
    CKR_OBJECT_HANDLE_INVALID,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED,
    CKR_SESSION_CLOSED,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SLOT_ID_INVALID,
    CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED,
    CKR_USER_NOT_LOGGED_IN,
    PyKCS11Error,
)


class SoftHsmError(Exception):
    """A surprise, and the base of all below. Its text never holds a PIN or key material."""


class ModuleMissingError(SoftHsmError):
    """No SoftHSM module was found. Trying again helps once somebody has put one there."""


class ModuleUnusableError(ModuleMissingError):
    """What was found cannot be loaded here, or is not SoftHSM. Nor does it heal by itself."""


class TokenNotFoundError(SoftHsmError):
    """No token has that serial, or more than one has. Never by itself a reason to make a new one."""


class PinRejectedError(SoftHsmError):
    """The token refused the PIN; trying it again cannot help."""


class KeyNotFoundError(SoftHsmError):
    """Not exactly one object has that id, or it is not the kind of key we make."""

    def __init__(self, object_id: str, reason: str) -> None:
        super().__init__(f"key {object_id}: {reason}")
        self.object_id = object_id


class TokenLostError(SoftHsmError):
    """The session or its token is gone; loading the module and opening the token again may heal it."""


class TamperedError(SoftHsmError):
    """The tag does not fit: the data is at fault, the token is well."""


_EVERYWHERE: Final[dict[int, type[SoftHsmError]]] = dict.fromkeys(
    (
        CKR_CRYPTOKI_NOT_INITIALIZED,
        CKR_DEVICE_ERROR,
        CKR_DEVICE_REMOVED,
        # SoftHSM says no more than this of a token it can no longer read or log in to.
        CKR_GENERAL_ERROR,
        CKR_KEY_HANDLE_INVALID,
        # The answer when the token's directory has been deleted under us.
        CKR_OBJECT_HANDLE_INVALID,
        CKR_SESSION_CLOSED,
        CKR_SESSION_HANDLE_INVALID,
        CKR_SLOT_ID_INVALID,
        CKR_TOKEN_NOT_PRESENT,
        CKR_TOKEN_NOT_RECOGNIZED,
        CKR_USER_NOT_LOGGED_IN,
    ),
    TokenLostError,
)

_ADDITIONS: Final[dict[str, dict[int, type[SoftHsmError]]]] = {
    # A configuration that cannot work, a missing directory, a backend not built in: all look like this.
    "load": {-1: ModuleUnusableError, CKR_GENERAL_ERROR: SoftHsmError},
    # A full disk while the token is made: there is nothing yet that could be lost.
    "initialize": {CKR_DEVICE_ERROR: SoftHsmError, CKR_GENERAL_ERROR: SoftHsmError},
    "login": dict.fromkeys(
        (CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_LOCKED), PinRejectedError
    ),
}

# What a bad tag may look like. SoftHSM 2.6.1 reports it as CKR_GENERAL_ERROR (SoftHSMv2#689), 2.7.0 and later
# as CKR_ENCRYPTED_DATA_INVALID; the others are there for modules that are more precise.
SUSPECT_DATA: Final = frozenset(
    (
        CKR_AEAD_DECRYPT_FAILED,
        CKR_DATA_INVALID,
        CKR_DATA_LEN_RANGE,
        CKR_ENCRYPTED_DATA_INVALID,
        CKR_ENCRYPTED_DATA_LEN_RANGE,
        CKR_GENERAL_ERROR,
    )
)


def translated(error: PyKCS11Error, operation: str) -> SoftHsmError:
    """Turn a PKCS#11 return value into the error of this room that *operation* means by it."""
    kinds = _EVERYWHERE | _ADDITIONS.get(operation, {})
    return kinds.get(error.value, SoftHsmError)(f"{operation}: {error}")
