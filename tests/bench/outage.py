"""What callers see when the servers that hold the keys go away, and how soon Status tells it."""

import time
from pathlib import Path

from tests.bench.caller import Caller
from tests.bench.served import Served
from tests.transit.node import admitted
from tests.transit.openbao import single, three
from tests.usage.authority import Authority

_CALLERS = 16
_BEFORE_SECONDS, _AFTER_SECONDS = 2.0, 5.0
_PATIENCE_SECONDS = 30.0


def table(root: Path, times: int = 3) -> list[str]:
    rows = [f"outage of Transit under {_CALLERS} callers, the worst of {times} times          measured   aim"]
    authority = Authority(root / "outage-authority")
    with Caller() as caller:
        lost = [_leader_killed(root / f"killed-{number}", authority, caller) for number in range(times)]
        told, back = _sealed(root / "sealed", authority, caller, times)
    failed, calls = (sum(each[place] for each in lost) for place in (0, 1))
    return [
        *rows,
        f"  leader of three killed: failed of {calls:,} calls".ljust(66) + f"{failed:9}   0",
        _row("  the slowest of them, s", max(each[2] for each in lost), "<= 1.3"),
        _row("  the only server told to seal: until Status tells it, s", max(told), "<= 4"),
        _row("  it leads again: until Status is ok, s", max(back), "<= 1"),
    ]


def _row(name: str, seconds: float, aim: str) -> str:
    return name.ljust(66) + f"{seconds:9.2f}   {aim}"


def _leader_killed(root: Path, authority: Authority, caller: Caller) -> tuple[int, int, float]:
    """Failed calls, all calls, and the slowest one in seconds."""
    root.mkdir()
    with three(root / "bao", authority) as cluster:
        leader = cluster.leader()
        # The leader first, so that the calls are at it.
        nodes = sorted(cluster.nodes, key=lambda node: node is not leader)
        told = admitted(leader, root / "login", [node.address for node in nodes])
        with Served(root / "served", {"engine": "transit", **told}) as own:
            calling = caller.kms_meanwhile(
                own.socket, callers=_CALLERS, seconds=_BEFORE_SECONDS + _AFTER_SECONDS
            )
            time.sleep(_BEFORE_SECONDS)
            leader.kill()
            found = calling.result(_PATIENCE_SECONDS)
    return found.failed, found.calls, found.slowest / 1e6


def _sealed(root: Path, authority: Authority, caller: Caller, times: int) -> tuple[list[float], list[float]]:
    """Seconds until Status tells that the server is sealed, and that it is unsealed, each time."""
    told, back = [], []
    root.mkdir()
    with (
        single(root / "bao", authority) as server,
        Served(root / "served", {"engine": "transit", **admitted(server, root / "login")}) as own,
    ):
        for _ in range(times):
            calls = caller.kms_meanwhile(
                own.socket, callers=_CALLERS, seconds=_BEFORE_SECONDS + _AFTER_SECONDS
            )
            time.sleep(_BEFORE_SECONDS)
            began = time.monotonic()
            server.seal()
            told.append(_until(own, began, well=False))
            calls.result(_PATIENCE_SECONDS)
            server.unseal()
            server.wait_active()
            back.append(_until(own, time.monotonic(), well=True))
    return told, back


def _until(own: Served, began: float, *, well: bool) -> float:
    """Seconds until Status is what it is to be."""
    while (own.healthz() == "ok") is not well:
        assert time.monotonic() < began + _PATIENCE_SECONDS, own.healthz()
        time.sleep(0.02)
    return time.monotonic() - began
