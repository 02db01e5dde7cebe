"""The same in the image, as the static pod's container: size, start, memory; or why not."""

import os
import shutil
import time
from pathlib import Path

from tests.bench.processes import pss
from tests.container.engine import Engine
from tests.container.pod import IMAGE, Pod

_MEGA = 1e6


def table() -> list[str]:
    title = "container (the static pod's)                             measured   aim"
    if os.geteuid() != 0 or not shutil.which("podman"):
        return [title, "  not measured: needs root and podman; make image installs podman"]
    with Engine() as engine:
        if engine.call("image", "exists", IMAGE).returncode != 0:
            return [title, f"  not measured: there is no {IMAGE}; make image builds it"]
        size = int(engine.run("image", "inspect", "--format", "{{.Size}}", IMAGE)) / _MEGA
        pod = Pod(engine)
        try:
            first, again, memory = _lives(pod)
        finally:
            pod.close()
    return [
        title,
        f"  image, unpacked, MB (make image-size has the parts)   {size:8.1f}   <= 150",
        f"  first boot: pod asked for, to Status ok, s            {first:8.1f}",
        f"  restart: the same, s                                  {again:8.1f}",
        f"  memory, MiB PSS of all its processes at rest          {memory:8.1f}   <= 110",
    ]


def _lives(pod: Pod) -> tuple[float, float, float]:
    first = _timed(pod)
    pod.stop()
    pod.delete()
    again = _timed(pod)
    return first, again, pss(_family(pod.pid()))


def _timed(pod: Pod) -> float:
    started = time.monotonic()
    pod.start()
    pod.wait_ready()
    return time.monotonic() - started


def _family(pid: int) -> list[int]:
    """A process and all below it (proc(5), task/children)."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in below for one in _family(int(child)))]
