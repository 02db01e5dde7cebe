"""How much memory this process may still take before the kernel ends somebody."""

import re
import resource
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
# For everything else that goes on meanwhile, here and in the server beside us.
_SPARE = 8 << 20


def bytes_left() -> int:
    """The least of what machine, control groups and our own limit leave."""
    return max(0, min(_of_machine(), *_of_groups(), _of_limit()) - _SPARE)


def _of_machine() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def _of_limit() -> int:
    """RLIMIT_AS counts addresses, not pages."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return 1 << 62
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return limit - pages * resource.getpagesize()


def _of_groups() -> Iterator[int]:
    """Each group up to the root may have a limit (cgroups(7)); in a container the root is its own."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            yield from _up(_CGROUPS, name, "memory.max", "memory.current", "inactive_file")
        elif controllers == "memory":
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _up(_CGROUPS / "memory", name, *names)


def _up(mount: Path, name: str, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    group = mount / name.lstrip("/")
    for directory in (group, *group.parents):
        if not directory.is_relative_to(mount):
            return
        try:
            most = (directory / limit).read_text().strip()
            used = int((directory / usage).read_text())
            stat = (directory / "memory.stat").read_text()
        except OSError:
            continue  # the root has none, and a container does not see its host's
        if most != "max":
            cache = re.search(rf"^{reclaimable} (\d+)$", stat, re.MULTILINE)
            # Pages of files that nobody uses are given back before anybody is ended.
            yield int(most) - used + (int(cache[1]) if cache else 0)
