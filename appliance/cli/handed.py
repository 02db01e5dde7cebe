"""What an operator hands over: a file, a pipe or standard input, and never more than is expected of it.

They name it themselves, so a link or a pipe (`<(…)`) is meant; what lies at a place of ours is read by
`regular` instead.
"""

import errno
import sys
from pathlib import Path


def read(name: str | Path, most: int) -> bytes:
    """All of it; `-` is standard input. Raises OSError, also when it has more than *most* bytes."""
    if name == "-":
        data = sys.stdin.buffer.read(most + 1)
    else:
        with Path(name).open("rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes", str(name))
    return data
