"""Control-plane nodes: an appliance and an API server each, one etcd for all, and load on every one."""

import itertools
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.rig import Appliance

# The API server asks for the key id once a minute.
POLL_SECONDS = 150


class Node:
    def __init__(self, name: str, appliance: Appliance, directory: Path) -> None:
        self.name = name
        self.appliance = appliance
        self._directory = directory
        self._bundles = 0
        self.server: ApiServer | None = None

    @property
    def api(self) -> ApiServer:
        assert self.server is not None, f"{self.name} has no API server"
        return self.server

    def do(self, *arguments: str) -> str:
        """What kleidi prints on this node; it must succeed."""
        done = self.appliance.run(*arguments)
        assert done.returncode == 0, f"{self.name}: kleidi {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    @property
    def keyset(self) -> str:
        found = re.search(r"^key set +(\S+)$", self.do("status"), re.MULTILINE)
        assert found
        return found[1]

    def join(self, other: "Node") -> None:
        """Take what *other* holds."""
        eventually(self.appliance.admin.exists, within=60, explain=self.appliance.log)
        recipient = self.do("node", "invite")
        self._bundles += 1
        bundle = str(self._directory / f"{self.name}-{self._bundles}.age")
        other.do("node", "export", "--to", recipient, bundle)
        self.do("node", "join", bundle)

    def serve(self, stage: Stage) -> None:
        """Start an API server with nothing cached on this node."""
        self.server = stage.apiserver(Kms("kleidi", self.appliance.socket))


class Load:
    """Writes and reads on every node without a pause, also of what others wrote. One failure is too many."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}
        self.reads = 0
        self._numbers = itertools.count(1)
        self._failures: list[str] = []
        self._workers: dict[str, tuple[threading.Event, threading.Thread]] = {}

    def begin(self, *nodes: Node) -> None:
        for node in nodes:
            enough = threading.Event()
            thread = threading.Thread(target=self._work, args=(node, node.api, enough), name=node.name)
            self._workers[node.name] = enough, thread
            thread.start()

    def end(self, *nodes: Node) -> None:
        """Let them finish what they do: their node goes away."""
        for node in nodes:
            enough, thread = self._workers.pop(node.name)
            enough.set()
            thread.join()
        self.check()

    def close(self) -> None:
        for enough, thread in self._workers.values():
            enough.set()
            thread.join()

    def check(self) -> None:
        assert not self._failures, self._failures[:5]

    def go_on(self, what: Callable[[], Any], within: float, explain: Callable[[], str] = str) -> None:
        """Wait until *what* is true while everything goes on without a failure."""

        def look() -> Any:  # noqa: ANN401
            self.check()
            return what()

        eventually(look, within=within, explain=explain)

    def _work(self, node: Node, server: ApiServer, enough: threading.Event) -> None:
        while not enough.is_set():
            name = f"{node.name}-{next(self._numbers)}"
            try:
                server.create_secret(name, name)
                self.written[name] = name
                for other in {name, *random.sample(sorted(self.written), min(3, len(self.written)))}:
                    assert server.secret(other) == other
                    self.reads += 1
            except Exception as error:  # noqa: BLE001  whatever it is, the test must hear of it
                self._failures.append(f"{node.name}, {name}: {error!r}")
                return
            enough.wait(0.05)
