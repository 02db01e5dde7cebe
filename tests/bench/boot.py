"""How long the appliance takes from the start of supervisord to Status ok, and where the time goes."""

import json
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.rig import Appliance

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Boot:
    """Seconds since supervisord was started."""

    bound: float
    spawned: float
    listening: float
    provisioned: float
    ready: float
    opening: float  # a length, not a moment


def boots(root: Path, times: int) -> tuple[list[Boot], list[Boot]]:
    """First boots, each on an empty volume, and reboots of the last of them."""
    first, again = [], []
    for number in range(times):
        with Appliance(root / f"first-{number}", log_format="json") as appliance:
            first.append(_boot(appliance))
            appliance.stop()
            again.append(_boot(appliance))
    return first, again


def _boot(appliance: Appliance) -> Boot:
    before = len(appliance.log())
    uptime, started = float(Path("/proc/uptime").read_text().split()[0]), time.time()
    appliance.start()
    while not appliance.socket.exists():
        time.sleep(0.001)
    bound = time.time() - started
    appliance.wait_ready()
    ready = time.time()
    while "token open" not in appliance.log()[before:]:  # a line may come behind the answer
        time.sleep(0.01)
    lines = [json.loads(line) for line in appliance.log()[before:].splitlines() if line.startswith("{")]
    moment = {line["msg"]: line["ts"] / 1000 - started for line in reversed(lines)}
    opening = next(line["ms"] for line in lines if line["msg"] == "token open") / 1000
    spawned = _start_time(appliance.pid("kms")) - uptime
    return Boot(bound, spawned, moment["listening"], moment.get("provisioned", 0), ready - started, opening)


def _start_time(pid: int) -> float:
    """Seconds since the machine's boot, as /proc/uptime counts them (proc(5), field 22)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / _TICKS


def table(first: list[Boot], again: list[Boot]) -> list[str]:
    rows = ["boot, seconds since supervisord's start (median)         first boot   reboot   aim"]
    parts = [
        ("KMS socket there: who dials before the server waits", "bound", ""),
        ("kms process spawned", "spawned", ""),
        ("kms listens (interpreter, imports, sockets)", "listening", ""),
        ("provisioner done", "provisioned", ""),
        ("of it opening and proving the token", "opening", ""),
        ("Status ok", "ready", "<= 3.0 / 2.5"),
    ]
    for text, name, aim in parts:
        one, two = (statistics.median(getattr(boot, name) for boot in boots) for boots in (first, again))
        rows.append(f"  {text:53} {one:8.2f} {two:10.2f}   {aim}")
    return rows
