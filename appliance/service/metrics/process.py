"""The server's own process, as /proc has it, and what it was built of; without a library's collectors."""

import contextlib
import os
import platform
import resource
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from appliance import __version__, built
from appliance.service.metrics import table
from appliance.service.metrics.table import Sample

_SELF = Path("/proc/self")
# Where fields of /proc/self/stat stand behind the name, which may have blanks (proc(5)).
_USER, _SYSTEM, _START, _VIRTUAL, _RESIDENT = 11, 12, 19, 20, 21


def samples() -> Iterator[Sample]:
    yield Sample(table.BUILD_INFO, 1, _build())
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    stat = (_SELF / "stat").read_text().rpartition(")")[2].split()
    numbers = [int(stat[at]) for at in (_USER, _SYSTEM, _START, _VIRTUAL, _RESIDENT)]
    user, system, start, virtual, resident = numbers
    yield Sample(table.PROCESS_CPU, (user + system) / ticks)
    yield Sample(table.PROCESS_START, _booted() + start / ticks)
    yield Sample(table.PROCESS_RESIDENT, resident * page)
    yield Sample(table.PROCESS_VIRTUAL, virtual)
    yield Sample(table.PROCESS_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    with contextlib.suppress(OSError):
        yield Sample(table.PROCESS_FILES, len([*(_SELF / "fd").iterdir()]) - 1)  # one is what looks


@cache
def _booted() -> int:
    """When the machine started, asked once: a clock that is set must not look like a restart."""
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))


@cache
def _build() -> tuple[str, ...]:
    libraries = (built.installed(name) for name in ("PyKCS11", "cryptography", "grpcio"))
    revision = built.built().get("revision", "")
    return (__version__, revision, built.softhsm(), *libraries, platform.python_version())
