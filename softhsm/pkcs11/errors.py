"""What a module can answer instead of bytes, named by what to do about it. No text holds a PIN or a key."""

from typing import Final

from softhsm.pkcs11.constants import Ckr


class Pkcs11Error(Exception):
    """The base of all below. *code* is the module's CKR code, 0 where it did not answer."""

    def __init__(self, words: str, code: int = 0) -> None:
        super().__init__(words)
        self.code = code


class ModuleError(Pkcs11Error):
    """The module cannot be loaded here, or is none."""


class CrashedError(ModuleError):
    """The module ended the process that tried it."""


class TokenError(Pkcs11Error):
    """Not exactly one token has the serial and label that were asked for."""


class NoGcmError(Pkcs11Error):
    """The token has no AES-GCM, or cannot make an AES key."""


class NoOaepError(Pkcs11Error):
    """The token has no RSA-OAEP with a hash that we take, or cannot make a key pair."""


class PinError(Pkcs11Error):
    """The token refused the PIN. It is never tried again by itself: a token locks or wipes itself."""


class PinLockedError(PinError):
    """The PIN is locked, or one wrong try away from it, so that it was not tried."""


class AwayError(Pkcs11Error):
    """The device or its token is not there, or does not answer; nothing to be done but to wait."""


class LostError(Pkcs11Error):
    """A session, login or handle is no longer good, or the module does not say what it is."""


class SuspectError(LostError):
    """A decryption failed in a way that a wrong tag may look like."""


class TamperedError(Pkcs11Error):
    """The tag does not fit: the data is at fault, the token is well."""


class KeyGoneError(Pkcs11Error):
    """Logged in, and no object of that id is there, or more than one, or none of the kind we make."""


class DeniedError(Pkcs11Error):
    """The token answers, and will not do this with this key or at all."""


_KINDS: Final[dict[type[Pkcs11Error], tuple[Ckr, ...]]] = {
    AwayError: (Ckr.DEVICE_REMOVED, Ckr.SESSION_COUNT, Ckr.TOKEN_NOT_PRESENT, Ckr.TOKEN_NOT_RECOGNIZED),
    PinError: (
        Ckr.PIN_EXPIRED,
        Ckr.PIN_INCORRECT,
        Ckr.PIN_INVALID,
        Ckr.PIN_LEN_RANGE,
        Ckr.USER_PIN_NOT_INITIALIZED,
    ),
    PinLockedError: (Ckr.PIN_LOCKED,),
    ModuleError: (Ckr.CANT_LOCK,),
    DeniedError: (
        Ckr.ACTION_PROHIBITED,
        Ckr.ARGUMENTS_BAD,
        Ckr.ATTRIBUTE_READ_ONLY,
        Ckr.ATTRIBUTE_TYPE_INVALID,
        Ckr.ATTRIBUTE_VALUE_INVALID,
        Ckr.BUFFER_TOO_SMALL,
        Ckr.DATA_LEN_RANGE,
        Ckr.FUNCTION_NOT_SUPPORTED,
        Ckr.FUNCTION_REJECTED,
        Ckr.KEY_FUNCTION_NOT_PERMITTED,
        Ckr.KEY_SIZE_RANGE,
        Ckr.KEY_TYPE_INCONSISTENT,
        Ckr.MECHANISM_INVALID,
        Ckr.MECHANISM_PARAM_INVALID,
        Ckr.SESSION_READ_ONLY,
        Ckr.TEMPLATE_INCOMPLETE,
        Ckr.TEMPLATE_INCONSISTENT,
        Ckr.TOKEN_WRITE_PROTECTED,
    ),
}
_BY_CODE: Final = {code: kind for kind, codes in _KINDS.items() for code in codes}

# What a bad tag may look like. SoftHSM 2.6.1 answers CKR_GENERAL_ERROR (SoftHSMv2#689), later ones, NSS and
# kryoptic CKR_ENCRYPTED_DATA_INVALID; of what is too short each says something else.
SUSPECT: Final = frozenset(
    (
        Ckr.AEAD_DECRYPT_FAILED,
        Ckr.DATA_INVALID,
        Ckr.DATA_LEN_RANGE,
        Ckr.ENCRYPTED_DATA_INVALID,
        Ckr.ENCRYPTED_DATA_LEN_RANGE,
        Ckr.GENERAL_ERROR,
    )
)


def again(error: Pkcs11Error) -> Pkcs11Error:
    """The same once more; an exception that is raised twice keeps all that its first way went through."""
    return type(error)(str(error), error.code)


def name(code: int) -> str:
    try:
        return f"CKR_{Ckr(code).name}"
    except ValueError:
        return f"CKR {code:#x}"


def demand(code: int, function: str) -> None:
    """Raise what *code* means, unless it is CKR_OK. One that nobody knows may be healed by starting again."""
    if code != Ckr.OK:
        kind = _BY_CODE.get(code, LostError)  # type: ignore[call-overload]  # an IntEnum is its number
        raise kind(f"{function}: {name(code)}", code)
