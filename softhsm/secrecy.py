"""What a process of this room does before anything else: keep its memory its own.

The appliance does the same for itself; this room stands alone, and its programs start anew, which undoes it.
"""

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def shut() -> None:
    """No core, for SoftHSM does abort on some damaged files; and nobody of the same user looks inside."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
