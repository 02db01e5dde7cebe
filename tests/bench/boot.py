"""How long the appliance takes from the start of supervisord to Status ok, and where the time goes."""

import compileall
import json
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.rig import CHECKOUT, Appliance

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Boot:
    """Seconds since supervisord was started."""

    bound: float
    supervising: float
    spawned: float
    listening: float
    provisioned: float
    serving: float
    ready: float
    # What follows are lengths, not moments.
    opening: float
    supervisor_cpu: float
    server_cpu: float
    others_cpu: float


def boots(root: Path, times: int) -> tuple[list[Boot], list[Boot]]:
    """First boots, each on an empty volume, and reboots of the last of them."""
    for package in ("appliance", "softhsm", "proto"):  # as they are in the image
        compileall.compile_dir(CHECKOUT / package, quiet=1)
    first, again = [], []
    for number in range(times):
        with Appliance(root / f"first-{number}", log_format="json") as appliance:
            first.append(booted(appliance))
            appliance.stop()
            again.append(booted(appliance))
    return first, again


def booted(appliance: Appliance) -> Boot:
    """Start it, and wait until it serves and its provisioner has ended. Its log is JSON."""
    before = len(appliance.log())
    uptime, started = float(Path("/proc/uptime").read_text().split()[0]), time.time()
    appliance.start()
    while not appliance.socket.exists():
        time.sleep(0.001)
    bound = time.time() - started
    appliance.wait_ready()
    ready = time.time() - started
    while "OPERATIONAL" not in appliance.log()[before:]:  # a line may come behind the answer
        time.sleep(0.01)
    while appliance.pid("provision"):
        time.sleep(0.01)
    lines = [json.loads(line) for line in appliance.log()[before:].splitlines() if line.startswith("{")]
    moment = {line["msg"]: line["ts"] / 1000 - started for line in reversed(lines)}
    supervisor = next(pid for pid in appliance.processes() if _fields(pid)[3] == str(pid))
    fields = _fields(supervisor)
    server = appliance.pid("kms")
    return Boot(
        bound=bound,
        # supervisord writes its pid file right before its loop.
        supervising=(appliance.control / "pid").stat().st_mtime - started,
        spawned=int(_fields(server)[19]) / _TICKS - uptime,
        listening=moment["listening"],
        provisioned=moment.get("provisioned", 0),
        serving=next(line["ts"] for line in lines if line.get("to") == "OPERATIONAL") / 1000 - started,
        ready=ready,
        opening=next(line["ms"] for line in lines if line["msg"] == "token open") / 1000,
        supervisor_cpu=sum(map(int, fields[11:13])) / _TICKS,
        server_cpu=sum(map(int, _fields(server)[11:13])) / _TICKS,
        others_cpu=sum(map(int, fields[13:15])) / _TICKS,
    )


def _fields(pid: int) -> list[str]:
    """From `state` on (proc(5)): 3 is the session, 11 to 14 CPU time with its children's, 19 the start."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def table(first: list[Boot], again: list[Boot]) -> list[str]:
    rows = ["boot, seconds since supervisord's start (median)         first boot   reboot   aim"]
    parts = [
        ("KMS socket there: who dials before the server waits", "bound", "<= 0.1"),
        ("supervisord supervises", "supervising", ""),
        ("kms process spawned", "spawned", ""),
        ("kms listens (interpreter, imports, settings, sockets)", "listening", ""),
        ("provisioner done", "provisioned", ""),
        ("kms serves", "serving", ""),
        ("Status ok, asked for 20 times a second", "ready", "<= 3.0 / 2.5"),
        ("of it opening and proving the token", "opening", ""),
        ("CPU of PID 1", "supervisor_cpu", ""),
        ("CPU of kms", "server_cpu", ""),
        ("CPU of what has ended: settings, provisioner, its trial", "others_cpu", ""),
    ]
    for text, name, aim in parts:
        one, two = (statistics.median(getattr(boot, name) for boot in boots) for boots in (first, again))
        rows.append(f"  {text:55} {one:6.2f} {two:10.2f}   {aim}")
    return rows
