"""One life of the module, from C_Initialize to C_Finalize, and the one lock that guards it.

SoftHSM's handles start again at 1 in every life, so a handle kept from an earlier one silently means
another key; and PyKCS11 calls into freed memory when it is used after C_Finalize. So everything made in a
life holds on to it, and asks it before each call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Final

from PyKCS11 import PyKCS11Error, PyKCS11Lib

from softhsm.direct import Direct
from softhsm.errors import TokenLostError, translated

# PKCS#11 state belongs to the process, so its lock does too. Finer locking gains nothing: PyKCS11 1.5.20
# holds the GIL during every call, and SoftHSM 2.6.1 damages objects when one thread generates while another
# searches.
LOCK: Final = RLock()


class Lifetime:
    def __init__(self, pkcs11: PyKCS11Lib, direct: Direct) -> None:
        self.pkcs11 = pkcs11
        self.direct = direct
        self.over = False

    def require(self) -> None:
        """Raise unless this life goes on. The caller holds `LOCK`."""
        if self.over:
            raise TokenLostError("the module was unloaded or loaded again since this was opened")

    @contextmanager
    def entered(self, operation: str) -> Iterator[PyKCS11Lib]:
        """Hold the lock and speak PKCS#11; what the module refuses leaves as an error of this room."""
        with LOCK:
            self.require()
            try:
                yield self.pkcs11
            except PyKCS11Error as error:
                raise translated(error, operation) from error

    def end(self) -> None:
        """Finalize the module. The caller holds `LOCK`."""
        self.over = True
        self.pkcs11.unload()
        self.direct.close()
