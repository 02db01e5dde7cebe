"""The real appliance within its pod's memory, an attacker, and a good caller beside it."""

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.abuse import attacks
from tests.abuse.good import SEED, Good
from tests.cgroup import MemoryGroup, limit_of_the_pod
from tests.rig import Appliance
from tests.service.client import connected

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20


@dataclass(frozen=True)
class Outcome:
    name: str
    how: str
    p99: float
    peak: int
    cpu: float
    crowded_out: int

    def __str__(self) -> str:
        crowded = f"; {self.crowded_out} good calls crowded out" if self.crowded_out else ""
        figures = f"{self.p99 * 1000:.0f} ms | {self.peak / _MIB:.0f} | {self.cpu:.2f}"
        return f"| {self.name} | {self.how}{crowded} | {figures} |"


TITLE = "| attack | how it ended | good Status, p99 | peak MiB | CPU s |\n|---|---|---|---|---|"


class Arena:
    def __init__(self, root: Path, transport: str) -> None:
        self._exits = ExitStack()
        self._group = MemoryGroup(limit_of_the_pod())
        self._appliance = Appliance(root, transport=transport)
        self._attacker = ProcessPoolExecutor(1, get_context("spawn"))

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.enter_context(self._group)
            exits.enter_context(self._appliance)
            exits.enter_context(self._attacker)
            self._appliance.runner = self._group.runner
            self._appliance.start()
            self._appliance.wait_ready()
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @property
    def socket(self) -> Path:
        return self._appliance.socket

    def bear(self, name: str, times: int) -> Outcome:
        """Let it be attacked. Fails where the attacker is not the only one who feels it."""
        pid = self._appliance.pid("kms")
        self._group.forget_peak()
        before = _cpu(pid)
        with Good(self.socket) as good:
            good.wait()
            how = self._attacker.submit(attacks.run, name, self.socket, times).result()
            good.wait()
        assert good.failures == [], f"{name}: the good caller was refused"
        # Another one, who comes afterwards.
        with connected(self.socket) as client:
            assert client.open(client.encrypt(SEED)) == SEED
        assert self._appliance.pid("kms") == pid, (
            f"{name}: the server is another one\n{self._appliance.log()}"
        )
        assert self._group.kills == 0, f"{name}: killed for its memory"
        assert self._group.peak < limit_of_the_pod() * 3 // 4, f"{name}: too much memory"
        assert "a mistake of ours" not in self._appliance.log()
        return Outcome(name, how, good.p99, self._group.peak, _cpu(pid) - before, good.crowded_out)


def _cpu(pid: int) -> float:
    """Seconds, of all threads (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
