"""What the API server feels: from its start until it is ready and has listed its Secrets, by their seeds."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.kms.reference import Reference
from tests.bench.kms.sides import OURS, REFERENCE, ours
from tests.bench.rounds import Spread, in_turns, ratio
from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer

FEW, MANY = (1, 1000), (1, 1000, 10_000)
_AT_MOST = 1.0
_PAUSE_SECONDS = 0.002
_READY_SECONDS = 300.0


@dataclass(frozen=True)
class Start:
    """Seconds since the process was started. Each seed is a Decrypt, which the first list waits for."""

    ready: float
    listed: float


@dataclass(frozen=True)
class Starts:
    """*stored* is how long it took to leave that many Secrets behind: an Encrypt each, and etcd."""

    stored: float
    rounds: Sequence[Start]


_TITLE = (
    "API server, seconds since its start: medians    seeds    ready   and listed (lowest - highest)"
    "   ratio   aim      once: storing them"
)

# By how many seeds, and by the side's name.
Results = Mapping[int, Mapping[str, Starts]]


@dataclass(frozen=True)
class _Cluster:
    root: Path
    program: SecretServer
    etcd: Etcd

    def store(self, provider: Kms, prefix: str, count: int) -> float:
        """Seconds that it took."""
        began = time.monotonic()
        self.program.seeds(
            self.etcd.url, prefix, provider=provider.name, endpoint=provider.endpoint, count=count
        )
        return time.monotonic() - began

    def server(self, provider: Kms, prefix: str) -> ApiServer:
        place = self.root / prefix.removeprefix("/")
        place.mkdir()
        server = ApiServer(self.program, self.etcd, place, prefix)
        server.configure([provider])
        return server


def measured(root: Path, counts: Sequence[int], rounds: int) -> Results:
    cluster = _Cluster(root, SecretServer.obtain(), Etcd(root))
    root.mkdir()
    with contextlib.ExitStack() as exits:
        exits.callback(cluster.etcd.stop)
        cluster.etcd.start()
        sockets = {
            name: exits.enter_context(ours(root / f"side-{number}", settings)).socket
            for number, (name, settings) in enumerate(OURS.items())
        }
        sockets[REFERENCE] = exits.enter_context(Reference()).socket
        return {count: _of(cluster, sockets, count, rounds) for count in counts}


def _of(cluster: _Cluster, sockets: Mapping[str, Path], count: int, rounds: int) -> Mapping[str, Starts]:
    stored, works = dict[str, float](), dict[str, Callable[[], Start]]()
    for number, (name, socket) in enumerate(sockets.items()):
        provider, prefix = Kms(f"side-{number}", socket), f"/seeds-{number}-{count}"
        stored[name] = cluster.store(provider, prefix, count)
        works[name] = _start(cluster.server(provider, prefix), count)
    found = in_turns(rounds, works, warm_ups=0)
    return {name: Starts(stored[name], found[name]) for name in sockets}


def _start(server: ApiServer, count: int) -> Callable[[], Start]:
    def start() -> Start:
        began = time.monotonic()
        try:
            server.start()
            server.wait_ready(_READY_SECONDS, _PAUSE_SECONDS)
            ready = time.monotonic() - began
            assert len(server.secrets()) == count
            return Start(ready, time.monotonic() - began)
        finally:
            server.stop()

    return start


def rows(results: Results) -> list[str]:
    found = [_TITLE]
    for count, sides in results.items():
        for name, starts in sides.items():
            listed = Spread.of([each.listed for each in starts.rounds])
            ready = Spread.of([each.ready for each in starts.rounds]).middle
            spread = f"({listed.lowest:.2f} - {listed.highest:.2f})"
            found.append(
                f"  {name:42} {count:8,} {ready:8.2f} {listed.middle:8.2f} {spread:20}"
                f"   {_ratio(sides, name):14} {starts.stored:12.2f}"
            )
    return found


def _ratio(sides: Mapping[str, Starts], name: str) -> str:
    """Of the seconds until the list is there."""
    if name == REFERENCE:
        return ""
    found = ratio(
        [each.listed for each in sides[name].rounds], [each.listed for each in sides[REFERENCE].rounds]
    )
    return f"{found:7.2f}x <= {_AT_MOST:.2f}x"
