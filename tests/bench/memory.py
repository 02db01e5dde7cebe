"""What is kept in memory, at rest and after many calls: proportional set sizes, shared pages count once."""

from collections.abc import Iterator
from pathlib import Path

from tests.bench.caller import Caller
from tests.bench.kms.reference import Reference
from tests.bench.kms.sides import OURS, REFERENCE, ours
from tests.bench.processes import pss

FEW, MANY = 50_000, 1_000_000
_CALLERS, _CONNECTIONS = 64, 16
SERVER_AIM, WHOLE_AIM = "<= 48", "<= 70"


def table(root: Path, calls: int) -> list[str]:
    after = f"after {calls:,} calls"
    return [
        f"memory, MiB PSS {'':40} {'at rest':>8} {after:>22}   aim after them",
        *_rows(root, calls),
    ]


def _rows(root: Path, calls: int) -> Iterator[str]:
    with Caller() as caller:
        for number, (name, settings) in enumerate(OURS.items()):
            with ours(root / str(number), settings) as plugin:
                whole = [plugin.pid, *plugin.supervisors]
                before = pss([plugin.pid]), pss(whole)
                call_many(caller, plugin.socket, calls)
                after = pss([plugin.pid]), pss(whole)
            yield _row(f"{name}: server", before[0], after[0], SERVER_AIM)
            yield _row(f"{name}: its {len(whole)} processes", before[1], after[1], WHOLE_AIM)
        with Reference() as reference:
            rest = pss([reference.pid])
            call_many(caller, reference.socket, calls)
            yield _row(REFERENCE, rest, pss([reference.pid]))


def call_many(caller: Caller, socket: Path, calls: int) -> None:
    """Half of them Encrypt, half Decrypt."""
    for method in ("Encrypt", "Decrypt"):
        each = calls // 2 // _CALLERS
        told = caller.kms(socket, method, callers=_CALLERS, connections=_CONNECTIONS, calls=each)
        assert not told.failed, told.error


def _row(name: str, before: float, after: float, aim: str = "") -> str:
    return f"  {name:54} {before:8.1f} {after:22.1f}   {aim}".rstrip()
