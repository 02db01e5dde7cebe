"""A scene for every test, or one for a whole module whose tests must leave no mark on it."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Unpack

import pytest

from appliance.client.admin import ask
from appliance.faults import KleidiError
from appliance.service.transports import GRPCIO, NGHTTP2
from tests.service.client import Client, connected
from tests.service.journal import Journal
from tests.service.running import Running, until
from tests.service.scene import Options, Scene

Start = Callable[..., Running]
Launch = Callable[[], subprocess.Popen[str]]
CHECKOUT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def _set_up(transport: str, *, waits: bool = True) -> Iterator[tuple[Scene, Journal]]:
    # In memory, where tokens must be; pytest's own directories are too long for a socket's path.
    root = Path(tempfile.mkdtemp(prefix="kleidi-test-", dir="/dev/shm"))
    scene, journal = Scene(root, waits=waits, transport=transport), Journal()
    try:
        with journal.kept("json"):
            yield scene, journal
        assert not [secret for secret in scene.secrets if secret in journal.text]
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="session", params=[NGHTTP2, GRPCIO])
def transport(request: pytest.FixtureRequest) -> str:
    """Every test of the service runs on both."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def set_up(transport: str) -> Iterator[tuple[Scene, Journal]]:
    with _set_up(transport) as scene_and_journal:
        yield scene_and_journal


@pytest.fixture
def scene(set_up: tuple[Scene, Journal]) -> Scene:
    """A sealed volume with a key in every state; nothing runs yet."""
    set_up[0].seal()
    return set_up[0]


@pytest.fixture
def journal(set_up: tuple[Scene, Journal]) -> Journal:
    return set_up[1]


@pytest.fixture
def start(set_up: tuple[Scene, Journal]) -> Iterator[Start]:
    """Start a server on the scene, with settings of the test's choice."""
    with contextlib.ExitStack() as exits:

        def begin(**options: Unpack[Options]) -> Running:
            running = Running(set_up[0], **options)
            exits.callback(running.stop)
            return running

        yield begin


@pytest.fixture
def running(scene: Scene, start: Start) -> Running:
    """A server that is able."""
    assert scene.keyset
    running = start()
    running.wait_for("OPERATIONAL")
    return running


@pytest.fixture
def launch(scene: Scene) -> Iterator[Launch]:
    """Start a server of its own process on the scene."""
    with contextlib.ExitStack() as exits:

        def start() -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.service.program", str(scene.root), scene.transport],
                cwd=CHECKOUT,
                stderr=subprocess.PIPE,
                text=True,
            )
            exits.enter_context(process)
            exits.callback(process.kill)
            return process

        yield start


def wait_until_able(scene: Scene) -> None:
    """For a server of its own process."""

    def able() -> bool:
        try:
            return ask(scene.admin).state == "OPERATIONAL"
        except KleidiError:
            return False

    until(able, "OPERATIONAL")


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with connected(running.scene.socket) as client:
        yield client


@pytest.fixture(scope="module", params=[True, False], ids=["waiting engine", "instant engine"])
def shared(request: pytest.FixtureRequest, transport: str) -> Iterator[Running]:
    """A server that the module's tests share: none may change how it stands."""
    with _set_up(transport, waits=request.param) as (scene, _):
        scene.seal()
        running = Running(scene)
        try:
            running.wait_for("OPERATIONAL")
            yield running
        finally:
            running.stop()


@pytest.fixture
def unharmed(shared: Running) -> Iterator[Client]:
    """A client of the shared server, for a test that must leave it as it was."""
    with connected(shared.scene.socket) as client:
        before = client.status()
        yield client
        assert client.status() == before
        assert before.healthz == "ok"
        assert client.open(client.encrypt(b"next good call")) == b"next good call"
        assert shared.scene.engine.openings == 1
