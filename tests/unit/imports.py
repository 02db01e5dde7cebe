"""What a program has imported when it ends, in an interpreter of its own."""

import subprocess
import sys

from tests.reference import CHECKOUT


def imported(program: str) -> set[str]:
    """*program* ends with a line that prints `sys.modules`."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())
