"""What the appliance keeps in memory: proportional set sizes, so that shared pages count once."""

from pathlib import Path

from tests.bench.processes import pss
from tests.rig import Appliance


def table(root: Path) -> list[str]:
    with Appliance(root / "memory") as appliance:
        appliance.start()
        appliance.wait_ready()
        server = pss([appliance.pid("kms")])
        whole = pss(appliance.processes())
        count = len(appliance.processes())
    return [
        "memory, MiB PSS at rest                                  measured   aim",
        f"  server                                                {server:8.1f}   <= 64",
        f"  whole appliance ({count} processes)                         {whole:8.1f}   <= 110",
    ]
