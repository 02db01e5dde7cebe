"""A person at a terminal who answers what is asked: passphrases are read nowhere else."""

import os
import pty
import select
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.patience import eventually

SECONDS = 60


def answer(
    program: Path, arguments: Sequence[str], answers: Sequence[str], environment: Mapping[str, str]
) -> tuple[int, bytes]:
    """Exit code, and everything that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program, [program.name, *arguments], environment)  # noqa: S606  no shell is wanted
    left, said, deadline = list(answers), b"", time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(terminal, 1024)
        except OSError:  # the terminal's other end is closed
            break
        said += chunk
        if chunk.rstrip().endswith(b":") and left:
            # What is typed before the echo is off is thrown away (termios, TCSAFLUSH).
            eventually(lambda: _hidden(terminal), within=SECONDS, pause=0.01)
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def _hidden(terminal: int) -> bool:
    return not termios.tcgetattr(terminal)[3] & termios.ECHO
