"""The health socket on its own, served by a loop in a thread, on a standing that a test chooses."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

from appliance.backup.verified import Coverage
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.service.health import Health, listeners
from appliance.service.sockets.binding import Listens
from appliance.service.sockets.http import Answer, Route, Routes
from appliance.service.sockets.request import Query
from appliance.service.standing import Standing
from tests.fakes import made
from tests.service.asked import connect, get, send

PROBE = Path(__file__).parents[2] / "appliance" / "probe.py"
LINEAGE = "0123456789ab"
KEYSET = KeySet(LINEAGE, (Key.born(LINEAGE, 1, KeyState.PRIMARY, made("00", b"x" * 28)),))
OPERATIONAL = Standing(None, keyset=KEYSET)
STATUS = '{"state": "as it is"}'
# More than a socket's buffers hold.
LARGE = "metric 1\n" * 100_000
COVERED = Coverage(1, 0, "bundle.age", ())


class Answering:
    """*standing*, *proved_ago* and *covered* may be changed at any time."""

    def __init__(self, path: Path, address: str = "") -> None:
        self.path = path
        self.address = address
        self.standing = OPERATIONAL
        self.proved_ago: float | None = None
        self.covered: Callable[[], Coverage | None] = lambda: COVERED
        self.metrics = Answer("up 1\n# EOF")
        self.queries: list[Query] = []
        self.loop = asyncio.new_event_loop()
        self.health, *self.others = self.listeners()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def listeners(self) -> list[Listens]:
        return listeners(self._routes(), self.path, self.address)

    def _routes(self) -> Routes:
        told = Health(
            lambda: self.standing, lambda: self.proved_ago, self._covered, lambda: STATUS, self._scraped
        )
        return {
            **told.routes(),
            "/large": Route(lambda _: Answer(LARGE)),
            "/bug": Route(self._bug),
            "/query": Route(self._keep),
        }

    async def _scraped(self) -> Answer:
        return self.metrics

    def _covered(self) -> Coverage | None:
        return self.covered()

    def _bug(self, _query: Query) -> Answer:
        raise ZeroDivisionError("a secret of the bug's")

    def _keep(self, query: Query) -> Answer:
        self.queries.append(query)
        return Answer("kept")

    def __enter__(self) -> Self:
        self._thread.start()
        for listener in (self.health, *self.others):
            self.run(listener.open())
        return self

    def __exit__(self, *_: object) -> None:
        for listener in (self.health, *self.others):
            self.run(listener.close(1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, object]) -> object:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def connect(self) -> socket.socket:
        return connect(self.path)

    def send(self, request: bytes) -> bytes:
        return send(self.path, request)

    def get(self, path: str) -> tuple[int, str]:
        return get(self.path, path)


def probe(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As the manifests run it: without site, so that nothing of ours could be imported."""
    command = [sys.executable, "-I", "-S", str(PROBE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
