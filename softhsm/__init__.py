"""The token room: SoftHSM as an engine of AES-256-GCM keys, and the only place that speaks PKCS#11.

A `Library` serves one token directory and finds each `Token` in it by its serial; that opens to a `Session`,
which makes and uses keys. The room knows nothing of Kubernetes, of sealed volumes or of key ids, only of
objects on a token. Every failure leaves as a `SoftHsmError`, named by what to do about it.
Three programs do, in a process of their own, what must not happen in the one that serves:
`python -m softhsm.trial` proves a token directory, `softhsm.forge` changes a token, and `softhsm.survey`
looks into one that another program made.

Whoever imports the room will hold PINs, so that this closes the process: no core dumps, no looking inside.
"""

from softhsm import secrecy

secrecy.shut()  # before the rest is imported: the programs start with this line

from softhsm.errors import (
    KeyNotFoundError,
    ModuleMissingError,
    ModuleUnusableError,
    PinRejectedError,
    SoftHsmError,
    TamperedError,
    TokenLostError,
    TokenNotFoundError,
)
from softhsm.foreign import SecretKey, labelled
from softhsm.library import Library
from softhsm.session import Session
from softhsm.token import Token

__all__ = [
    "KeyNotFoundError",
    "Library",
    "ModuleMissingError",
    "ModuleUnusableError",
    "PinRejectedError",
    "SecretKey",
    "Session",
    "SoftHsmError",
    "TamperedError",
    "Token",
    "TokenLostError",
    "TokenNotFoundError",
    "labelled",
]
