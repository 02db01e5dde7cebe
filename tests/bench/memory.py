"""What the appliance keeps in memory: proportional set sizes, so that shared pages count once."""

from pathlib import Path

from tests.rig import Appliance


def table(root: Path) -> list[str]:
    with Appliance(root / "memory") as appliance:
        appliance.start()
        appliance.wait_ready()
        server = pss(appliance.pid("kms"))
        whole = sum(pss(pid) for pid in appliance.processes())
        count = len(appliance.processes())
    return [
        "memory, MiB PSS at rest                                  measured   aim",
        f"  server                                                {server:8.1f}   <= 64",
        f"  whole appliance ({count} processes)                         {whole:8.1f}   <= 110",
    ]


def pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
