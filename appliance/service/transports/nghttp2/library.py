"""libnghttp2, loaded and looked at once. `_interface` is made from interface.h by `make proto`."""

from typing import Any, Final

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.transports.nghttp2._interface import ffi

NAME: Final = "libnghttp2.so.14"
# A value of C's: a pointer, a structure, a function. It has no type of ours.
C = Any

# Debian 12's, the oldest that we try. It has the two limits below by a security update: without the one a
# client that resets its calls as fast as it makes them keeps us busy (CVE-2023-44487), without the other
# a header that never ends does (CVE-2024-28182).
_OLDEST: Final = 0x013400
_LIMITS: Final = ("nghttp2_option_set_stream_reset_rate_limit", "nghttp2_option_set_max_continuations")


def load(name: str = NAME) -> C:
    """The library of that file name. Raises E-TRANSPORT-MISSING and E-TRANSPORT-OLD."""
    try:
        library = ffi.dlopen(name)
    except OSError as error:
        raise KleidiError(faults.TRANSPORT_MISSING, str(error)) from None
    if not _has(library, "nghttp2_version"):
        raise KleidiError(faults.TRANSPORT_MISSING, f"{name} is not libnghttp2")
    info = library.nghttp2_version(0)
    version = ffi.string(info.version_str).decode()
    if info.version_num < _OLDEST:
        raise KleidiError(faults.TRANSPORT_OLD, f"{name} is {version}")
    for limit in _LIMITS:
        if not _has(library, limit):
            raise KleidiError(faults.TRANSPORT_OLD, f"{name} {version} has no {limit}")
    return library


def _has(library: C, function: str) -> bool:
    try:
        getattr(library, function)
    except ffi.error:  # no AttributeError, so that hasattr() would raise it
        return False
    return True
