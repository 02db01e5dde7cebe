"""`kleidi`, which `python -m appliance` is too: closed and quiet from its first instruction on."""

import os
import sys

# What `signal` is made of; the rest of that module takes some milliseconds that nobody should interrupt.
from _signal import SIGINT, default_int_handler, getsignal, signal

_INTERRUPTED = 130  # what a shell says of an end by SIGINT


def _leave(*_: object) -> None:
    os._exit(_INTERRUPTED)


# Half a second of imports lies ahead, in which an interrupt would be shown as a mistake of ours. Where
# SIGINT is ignored, in the background of a shell or under nohup, it stays so.
_heard = getsignal(SIGINT) is default_int_handler
if _heard:
    signal(SIGINT, _leave)

from appliance import hardening, supervised

hardening.unreadable()
supervised.end_together()

from appliance.cli import main as run


def main() -> None:
    try:
        if _heard:
            signal(SIGINT, default_int_handler)  # a command tidies up behind itself
        run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        if _heard:
            signal(SIGINT, _leave)


if __name__ == "__main__":
    main()
