"""`python -m tests.secrecy.watched FILE VERB…`: kleidi, and a neighbour who looks when secrets are handed on.

Each look is a line of JSON in FILE: the program that is about to get an order, what can be read of it, and of
the one that gives it.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

from tests.secrecy.neighbour import seen

_FILE = Path(sys.argv[1])
_hand_over = subprocess.Popen.communicate


def _watched(process, told=None, timeout=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if told:
        look = {"program": process.args[-1], "of it": seen(process.pid), "of us": seen(os.getpid())}
        with _FILE.open("a") as file:
            file.write(json.dumps(look) + "\n")
    return _hand_over(process, told, timeout)


if __name__ == "__main__":
    subprocess.Popen.communicate = _watched  # type: ignore[method-assign]
    sys.argv[:2] = ["kleidi"]
    runpy.run_module("appliance", run_name="__main__")
