"""What the PKCS#11 room says, in the words of the engines' port."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from appliance.keys import engine
from appliance.pkcs11.words import fault
from softhsm.pkcs11 import errors
from softhsm.pkcs11.errors import Pkcs11Error

_OF_A_KEY: Final = (errors.KeyGoneError, errors.DeniedError)


@contextmanager
def of_a_call() -> Iterator[None]:
    """For wrap, unwrap and inspect: an `EngineError`."""
    try:
        yield
    except errors.TamperedError as error:
        raise engine.TamperedError(str(error)) from error
    except _OF_A_KEY as error:
        raise engine.OffError(fault(error), str(error)) from error
    except Pkcs11Error as error:
        raise engine.AwayError(fault(error), str(error)) from error
