"""The token room: SoftHSM as an engine of AES-256-GCM keys, and the only place that speaks PKCS#11.

A `Library` serves one token directory and finds a `Token` in it by its serial; that opens to a `Session`,
which makes and uses keys. The room knows nothing of Kubernetes, of sealed volumes or of key ids, only of
objects on a token. Every failure leaves as a `SoftHsmError`, named by what to do about it.
`python -m softhsm.trial` proves a token directory in a process of its own.
"""

from softhsm.errors import (
    KeyNotFoundError,
    ModuleMissingError,
    PinRejectedError,
    SoftHsmError,
    TamperedError,
    TokenLostError,
    TokenNotFoundError,
)
from softhsm.library import Library
from softhsm.session import Session
from softhsm.token import Token

__all__ = [
    "KeyNotFoundError",
    "Library",
    "ModuleMissingError",
    "PinRejectedError",
    "Session",
    "SoftHsmError",
    "TamperedError",
    "Token",
    "TokenLostError",
    "TokenNotFoundError",
]
