"""Where a path is mounted, as the kernel tells it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MEMORY_FILESYSTEMS = {"tmpfs", "ramfs"}


@dataclass(frozen=True)
class Mount:
    point: Path
    filesystem: str

    @property
    def in_memory(self) -> bool:
        return self.filesystem in _MEMORY_FILESYSTEMS


def _unescape(field: str) -> str:
    # The kernel writes blanks, tabs, newlines and backslashes as \040 and so on (proc(5)).
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def mount_of(path: Path) -> Mount:
    """The mount that *path* lives on. A bind mount counts: os.path.ismount does not see those."""
    real = Path(os.path.realpath(path))  # a loop of links is for others to refuse
    best = Mount(Path("/"), "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_unescape(before.split()[4]))
        # A later line covers an earlier one at the same point.
        if real.is_relative_to(point) and len(point.parts) >= len(best.point.parts):
            best = Mount(point, after.split()[0])
    return best


def is_mount_point(path: Path) -> bool:
    return mount_of(path).point == Path(os.path.realpath(path))
