"""The same in the image, as the static pod's container: size, start, memory; or why not."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.caller import Caller
from tests.bench.memory import SERVER_AIM, WHOLE_AIM, call_many
from tests.bench.processes import pss
from tests.conformance.patience import eventually
from tests.container.engine import Engine
from tests.container.pod import IMAGE, Pod

_MEGA = 1e6
_END_SECONDS = 60


def table(calls: int) -> list[str]:
    title = "container (the static pod's)                             measured   aim"
    if os.geteuid() != 0 or not shutil.which("podman"):
        return [title, "  not measured: needs root and podman; make image installs podman"]
    with Engine() as engine:
        if engine.call("image", "exists", IMAGE).returncode != 0:
            return [title, f"  not measured: there is no {IMAGE}; make image builds it"]
        size = int(engine.run("image", "inspect", "--format", "{{.Size}}", IMAGE)) / _MEGA
        pod = Pod(engine)
        try:
            lives = _lives(pod, calls)
        finally:
            pod.close()
    return [
        title,
        f"  image, unpacked, MB (make image-size has the parts)   {size:8.1f}   <= 150",
        f"  first boot: pod asked for, to Status ok, s            {lives.first:8.1f}",
        f"  restart: the same, s                                  {lives.again:8.1f}",
        f"  MiB PSS at rest: server                               {lives.at_rest.server:8.1f}",
        f"    all its processes                                   {lives.at_rest.whole:8.1f}",
        f"  MiB PSS after {calls:9,} calls: server               {lives.after.server:8.1f}   {SERVER_AIM}",
        f"    all its processes                                   {lives.after.whole:8.1f}   {WHOLE_AIM}",
    ]


@dataclass(frozen=True)
class _Memory:
    server: float
    whole: float

    @classmethod
    def of(cls, pod: Pod) -> "_Memory":
        family = _family(pod.pid())
        return cls(pss(pid for pid in family if _runs(pid, "serve")), pss(family))


@dataclass(frozen=True)
class _Lives:
    first: float
    again: float
    at_rest: _Memory
    after: _Memory


def _lives(pod: Pod, calls: int) -> _Lives:
    first = _timed(pod)
    pod.stop()
    pod.delete()
    again = _timed(pod)
    eventually(lambda: not any(_runs(pid, "provision") for pid in _family(pod.pid())), within=_END_SECONDS)
    at_rest = _Memory.of(pod)
    with Caller() as caller:
        call_many(caller, pod.socket, calls)
    return _Lives(first, again, at_rest, _Memory.of(pod))


def _timed(pod: Pod) -> float:
    started = time.monotonic()
    pod.start()
    pod.wait_ready()
    return time.monotonic() - started


def _runs(pid: int, command: str) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").endswith(command)
    except OSError:  # it has ended
        return False


def _family(pid: int) -> list[int]:
    """A process and all below it (proc(5), task/children)."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in below for one in _family(int(child)))]
