"""What the PKCS#11 room says, and what a token says of itself, as faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from appliance import faults
from appliance.faults import Fault, KleidiError
from softhsm.pkcs11 import errors
from softhsm.pkcs11.constants import TokenFlag
from softhsm.pkcs11.errors import Pkcs11Error
from softhsm.pkcs11.token import Token

# The narrower ones first.
_FAULTS: Final[dict[type[Pkcs11Error], Fault]] = {
    errors.CrashedError: faults.PKCS11_MODULE_CRASHED,
    errors.ModuleError: faults.PKCS11_MODULE,
    errors.TokenError: faults.PKCS11_TOKEN,
    errors.NoGcmError: faults.PKCS11_NO_GCM,
    errors.NoOaepError: faults.PKCS11_NO_OAEP,
    errors.PinLockedError: faults.PKCS11_PIN_LOCKED,
    errors.PinError: faults.PKCS11_PIN,
    errors.KeyGoneError: faults.PKCS11_KEY_GONE,
    errors.DeniedError: faults.PKCS11_DENIED,
}


def fault(error: Pkcs11Error) -> Fault:
    return next((each for kind, each in _FAULTS.items() if isinstance(error, kind)), faults.PKCS11_AWAY)


def warnings(token: Token) -> dict[Fault, str]:
    """What the token says of itself without being asked for a key."""
    found = {}
    if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
        found[faults.PKCS11_PIN_LOW] = "one try left"
    elif token.flags & TokenFlag.USER_PIN_COUNT_LOW:
        found[faults.PKCS11_PIN_LOW] = "a wrong PIN was given since the last right one"
    if token.flags & TokenFlag.WRITE_PROTECTED:
        found[faults.PKCS11_READ_ONLY] = str(token)
    return found


@contextmanager
def of_a_change() -> Iterator[None]:
    """For what an operator asked for: a `KleidiError`."""
    try:
        yield
    except Pkcs11Error as error:
        raise KleidiError(fault(error), str(error)) from error


@contextmanager
def of_a_slot() -> Iterator[None]:
    """For what a slot asks: a `KleidiError`, of its own for a device that is away and another key pair."""
    try:
        yield
    except (errors.AwayError, errors.LostError, errors.TokenError) as error:
        raise KleidiError(faults.SLOT_HSM_AWAY, str(error)) from error
    except (errors.KeyGoneError, errors.TamperedError) as error:
        raise KleidiError(faults.SLOT_HSM_KEY, str(error)) from error
    except Pkcs11Error as error:
        raise KleidiError(fault(error), str(error)) from error
