"""A real memory cgroup: what the kernel of a node does to a pod, with a limit, a peak and an OOM kill."""

import contextlib
import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from appliance.manifests.description import Description
from appliance.manifests.pod import static_pod
from tests.install.texts import read

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE_SECONDS = 10.0


def limit_of_the_pod() -> int:
    (container,) = read(static_pod(Description()))["spec"]["containers"]
    return int(container["resources"]["limits"]["memory"].removesuffix("Mi")) << 20


class MemoryGroup:
    """A cgroup with *limit* bytes of memory and no swap, removed at the end, when its processes are."""

    def __init__(self, limit: int) -> None:
        self._version = 1 if (_ROOT / "memory").is_dir() else 2
        self.path = _parent(self._version) / f"kleidi-test-{secrets.token_hex(4)}"
        self._limit = limit

    def __enter__(self) -> Self:
        try:
            self.path.mkdir()
            if self._version == 1:
                self._write("memory.limit_in_bytes", self._limit)
                if (self.path / "memory.memsw.limit_in_bytes").exists():
                    self._write("memory.memsw.limit_in_bytes", self._limit)
            else:
                self._write("memory.max", self._limit)
                self._write("memory.swap.max", 0)
        except OSError as error:
            self._remove()
            pytest.skip(f"no memory cgroup may be made here: {error}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def runner(self) -> list[str]:
        """A command's beginning: what follows starts inside."""
        return ["sh", "-c", f'echo 0 > "{self.path}/cgroup.procs" && exec "$0" "$@"']

    @property
    def used(self) -> int:
        """Bytes, page cache and kernel buffers included, as the OOM killer counts them."""
        return int(self._read("memory.usage_in_bytes" if self._version == 1 else "memory.current"))

    @property
    def peak(self) -> int:
        return int(self._read("memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"))

    def forget_peak(self) -> None:
        """From now on *peak* is of what follows; a kernel that cannot do that tells the highest of all."""
        with contextlib.suppress(OSError):
            self._write("memory.max_usage_in_bytes" if self._version == 1 else "memory.peak", 0)

    @property
    def kills(self) -> int:
        """How many processes the OOM killer took."""
        text = self._read("memory.oom_control" if self._version == 1 else "memory.events")
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])

    def _read(self, name: str) -> str:
        return (self.path / name).read_text()

    def _write(self, name: str, value: int) -> None:
        (self.path / name).write_text(str(value))

    def _remove(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.path.is_dir():
            try:
                self.path.rmdir()
            except OSError:  # the kernel may not have seen its last process go yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _parent(version: int) -> Path:
    """Where this process may have a group of its own: beside it, so that its own limit holds as well."""
    if version == 1:
        return _ROOT / "memory"
    (own,) = [
        line.split("::")[1] for line in Path("/proc/self/cgroup").read_text().splitlines() if "::" in line
    ]
    inner = _ROOT / own.lstrip("/")
    # A group with processes of its own cannot have children with a limit (cgroups(7), no internal processes).
    return inner if inner.samefile(_ROOT) else inner.parent
