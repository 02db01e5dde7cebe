"""What a way into the seal costs at a start and in memory, beside the key file: boots of each in turns."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from tests.bench.boot import booted
from tests.bench.processes import pss
from tests.bench.rounds import Spread, in_turns, ratio
from tests.rig import Appliance
from tests.slots import keepers

BESIDE = "file"
_TITLE = (
    "by each kind of slot, {} boots in turns: medians     serves, s (lowest - highest)    ratio"
    "  CPU s    ratio      kms MiB    ratio      all MiB    ratio"
)


@dataclass(frozen=True)
class Start:
    """Seconds from supervisord's start, CPU seconds of all processes, MiB once the provisioner has ended."""

    serving: float
    cpu: float
    server: float
    whole: float


# What opens by itself; a passphrase and a recovery slot wait for somebody.
_WITH = {"tpm": "tpm, swtpm", "transit": "transit, OpenBao on this machine", "hsm": "hsm, NSS"}


def table(root: Path, rounds: int) -> list[str]:
    root.mkdir()
    with ExitStack() as exits:
        works: dict[str, Callable[[], Start]] = {}
        for kind in (BESIDE, *keepers.KINDS):
            kept = nullcontext({}) if kind == BESIDE else keepers.kept(kind, root / f"{kind}-way")
            settings = exits.enter_context(kept)
            works[kind] = _boots(exits.enter_context(_began(root / kind, kind, settings)))
        found = in_turns(rounds, works)
    return [_TITLE.format(rounds), *(_row(kind, found[kind], found[BESIDE]) for kind in found)]


@contextmanager
def _began(root: Path, kind: str, settings: keepers.Settings) -> Iterator[Appliance]:
    """One that has its first key: what that took is the device's own time, for a key pair of its."""
    # A chip alone is no way to begin with; so that all are alike, all have this one beside.
    recovery = str(pyrage.x25519.Identity.generate().to_public())
    seal_key = str(root / "etc" / "seal.key")
    given: dict[str, Any] = {"slot": kind, "seal_key_file": seal_key, "recovery": recovery, **settings}
    with Appliance(root, log_format="json", **given) as appliance:
        appliance.start()
        appliance.wait_ready(180)
        appliance.stop()
        yield appliance


def _boots(appliance: Appliance) -> Callable[[], Start]:
    def boot() -> Start:
        try:
            told = booted(appliance)
            server = appliance.pid("kms")
            spent = told.supervisor_cpu + told.server_cpu + told.others_cpu
            return Start(told.serving, spent, pss([server]), pss(appliance.processes()))
        finally:
            appliance.stop()

    return boot


def _row(kind: str, starts: Sequence[Start], beside: Sequence[Start]) -> str:
    serving = Spread.of([each.serving for each in starts])
    columns = [f"{serving.middle:6.2f} ({serving.lowest:.2f} - {serving.highest:.2f})".ljust(30)]
    for name, width in (("serving", 0), ("cpu", 6), ("server", 12), ("whole", 12)):
        ours, theirs = ([getattr(each, name) for each in some] for some in (starts, beside))
        middle = f"{statistics.median(ours):{width}.2f} " if width else ""
        columns.append(f"{middle}{ratio(ours, theirs):7.2f}x")
    return f"  {_WITH.get(kind, kind):50}" + " ".join(columns)
