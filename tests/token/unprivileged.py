"""Run a module without root's right to write what is read-only: `-m tests.token.unprivileged MODULE`."""

import ctypes
import runpy
import sys

_CAPABILITY_VERSION_3 = 0x20080522
_MAY_OVERRIDE = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


def obey_permissions() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two rounds of effective, permitted and inheritable.
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~_MAY_OVERRIDE
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    obey_permissions()
    runpy.run_module(sys.argv[1], run_name="__main__")
