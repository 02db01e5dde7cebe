"""Ending with the supervisor: a server that outlives it keeps volume and sockets from the next one."""

import ctypes
import os
import signal

_SUPERVISOR = "SUPERVISOR_PID"  # set by appliance/boot.py
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_together() -> None:
    """Get SIGTERM from the kernel when the supervisor that started us dies; nothing where none did."""
    told = os.environ.get(_SUPERVISOR, "")
    if not told.isdecimal():
        return
    supervisor = int(told)
    if os.getppid() == supervisor:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # It may have died before that, and our parent is now whoever takes in orphans. A shell between the
    # two, which ends by itself, is not that.
    if os.getppid() != supervisor and not _lives(supervisor):
        signal.raise_signal(signal.SIGTERM)


def started_us(pid: int) -> bool:
    """Whether *pid* is the supervisor that we run under."""
    return pid > 0 and os.environ.get(_SUPERVISOR, "") == str(pid) and os.getppid() == pid


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
