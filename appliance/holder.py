"""Who holds a file's lock, as the kernel tells it: nothing is opened, locked or waited for."""

import os
import re
from pathlib import Path

# proc_locks(5): `1: FLOCK  ADVISORY  WRITE 4711 fd:01:8271 0 EOF`; the device in hex, the inode not.
_LINE = re.compile(r"\d+: FLOCK +\S+ +\S+ +(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) .*")


def holder(path: Path) -> int | None:
    """The process that has *path* flocked; None when nobody has, or none in this pid namespace."""
    try:
        status = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    wanted = os.major(status.st_dev), os.minor(status.st_dev), status.st_ino
    for line in lines:
        if (found := _LINE.fullmatch(line)) and (
            int(found[2], 16),
            int(found[3], 16),
            int(found[4]),
        ) == wanted:
            return int(found[1])
    return None
