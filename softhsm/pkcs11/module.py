"""A module of this process: loaded once for all, initialized and finalized as often as it takes."""

import ctypes
from collections.abc import Callable
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Final, Self

from softhsm.pkcs11 import binding
from softhsm.pkcs11.binding import Functions
from softhsm.pkcs11.constants import CKF_OS_LOCKING_OK, Ckr
from softhsm.pkcs11.errors import ModuleError, demand
from softhsm.pkcs11.layout import ULONG

_MAX_SLOTS: Final = 4096


class Module:
    """*find* gives the functions, at the first `initialize` and then never again."""

    def __init__(self, find: Callable[[], Functions], parameters: str = "") -> None:
        self._find = find
        self._functions: Functions | None = None
        self._parameters = parameters
        self.initialized = False

    @classmethod
    def at(cls, path: Path, parameters: str = "") -> Self:
        return cls(lambda: load(path), parameters)

    def call(self, name: str, *arguments: object) -> None:
        """Call a function by its name in the standard. Raises a `Pkcs11Error`."""
        demand(self.code(name, *arguments), name)

    def code(self, name: str, *arguments: object) -> int:
        """The same for whoever looks at the CKR code himself."""
        if self._functions is None:
            self._functions = self._find()
            if missing := self._functions.missing:
                self._functions = None
                raise ModuleError(f"the module lacks {', '.join(missing)}")
        return int(self._functions[name](*arguments))

    def initialize(self) -> None:
        """C_Initialize, with the system's locks: without, two threads damage some modules."""
        parameters = self._parameters.encode() or None
        arguments = binding.InitializeArguments(flags=CKF_OS_LOCKING_OK, parameters=parameters)
        code = self.code("C_Initialize", byref(arguments))
        if code == Ckr.CRYPTOKI_ALREADY_INITIALIZED:
            # Its logins and its end would be shared with somebody who knows nothing of us.
            raise ModuleError("another part of this process uses the module")
        demand(code, "C_Initialize")
        self.initialized = True

    def finalize(self) -> None:
        """C_Finalize, whatever it answers. Nobody may be inside of the module."""
        if self.initialized:
            self.initialized = False
            self.code("C_Finalize", None)

    def slots(self) -> list[int]:
        """The slots with a token in them."""
        count = ULONG(0)
        self.call("C_GetSlotList", 1, None, byref(count))
        # One may be plugged in between the two calls.
        found = (ULONG * (min(count.value, _MAX_SLOTS) + 8))()
        count.value = len(found)
        self.call("C_GetSlotList", 1, ctypes.cast(found, c_void_p), byref(count))
        return list(found[: count.value])

    def about(self) -> str:
        """Who made it, and its version."""
        info = binding.Info()
        self.call("C_GetInfo", byref(info))
        return f"{binding.text(info.about)} {info.version.major}.{info.version.minor}".strip()


def load(path: Path) -> Functions:
    """Map the library into this process, for as long as that lives. It may end the process: see `trial`."""
    try:
        return binding.listed(ctypes.CDLL(str(path)))
    except OSError as error:
        # The dynamic linker's own words: another machine's, cut off, a library that it needs is not here.
        raise ModuleError(" ".join(str(error).split())) from None
    except AttributeError:
        raise ModuleError("it has no C_GetFunctionList, so it is no PKCS#11 module") from None
    except ValueError as error:
        raise ModuleError(str(error)) from None
