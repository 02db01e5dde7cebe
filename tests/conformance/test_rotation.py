"""Five rotations under load, each with a migration, seen by two API servers; then the first key destroyed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from appliance.usage.counting import count
from appliance.usage.endpoint import Identity
from appliance.usage.etcd import Etcd as Reader
from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.patience import eventually
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.rig import Appliance

pytestmark = pytest.mark.slow

ROTATIONS = 5
OBJECTS = 20
# An API server asks for the key id once a minute, and looks at it again at a check of its health.
POLL_SECONDS = 120


@pytest.fixture
def own(make_appliance: Callable[..., Appliance]) -> Iterator[Appliance]:
    """An appliance of this test alone: its keys come and go."""
    appliance = make_appliance(destroy_wait_hours="0")
    appliance.start()
    appliance.wait_ready()
    yield appliance
    appliance.stop()


class Load:
    """Writers, readers and listers, each of them without a pause; the first error of each is kept."""

    def __init__(self, servers: list[ApiServer]) -> None:
        self.errors: list[BaseException] = []
        self.done = 0
        self._enough = threading.Event()
        works = [work for server in servers for work in (self._write, self._read, self._list)]
        whose = [server for server in servers for _ in range(3)]
        self._threads = [
            threading.Thread(target=self._again_and_again, args=(work, server, number))
            for number, (work, server) in enumerate(zip(works, whose, strict=True))
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _again_and_again(
        self, work: Callable[[ApiServer, str], None], server: ApiServer, number: int
    ) -> None:
        try:
            while not self._enough.is_set():
                work(server, f"load-{number}")
                self.done += 1
        except BaseException as error:  # noqa: BLE001  told by the test's own thread
            self.errors.append(error)

    def _write(self, server: ApiServer, name: str) -> None:
        server.create_secret(name, "value")
        server.replace_secret(name, "another")
        assert server.secret(name) == "another"
        server.delete_secret(name)

    def _read(self, server: ApiServer, _name: str) -> None:
        assert server.secret("kept-0") == "value-0"

    def _list(self, server: ApiServer, _name: str) -> None:
        found = server.secrets()
        assert {name: found[name] for name in EXPECTED} == EXPECTED


EXPECTED = {f"kept-{number}": f"value-{number}" for number in range(OBJECTS)}


@contextmanager
def load(servers: list[ApiServer]) -> Iterator[Load]:
    running = Load(servers)
    try:
        yield running
    finally:
        running.end()
    assert not running.errors


def counts(etcd: Etcd, prefix: str, key_ids: list[str]) -> list[int]:
    tally = count(Reader([etcd.url], Identity(), prefix), prefix)
    return [tally.objects_under(key_id) for key_id in key_ids]


def rotated(appliance: Appliance) -> str:
    """The new key id; the command has said what is to be done next."""
    done = appliance.run("key", "rotate")
    assert done.returncode == 0, done.stderr
    assert "kubectl replace" in done.stdout
    return appliance.wait_ready()


def uses(server: ApiServer, key_id: str, name: str) -> bool:
    """Whether *server* writes with that key by now; asking for its health makes it look sooner."""
    server.readyz()
    server.replace_secret(name, EXPECTED[name])
    return key_id.encode() in server.stored(name)


def migrate(server: ApiServer) -> None:
    """What `kubectl get | kubectl replace` does."""
    for name, value in EXPECTED.items():
        server.replace_secret(name, value)


def test_five_rotations_under_load_lose_nothing_and_the_first_key_ends_with_proof(
    stage: Stage, own: Appliance, etcd: Etcd, secretserver: SecretServer
) -> None:
    assert secretserver
    kms, key_ids = Kms("kleidi", own.socket), [own.wait_ready()]
    servers = [stage.apiserver(kms), stage.apiserver(kms)]
    for name, value in EXPECTED.items():
        servers[0].create_secret(name, value)

    with load(servers) as running:
        for _ in range(ROTATIONS):
            key_ids.append(rotated(own))
            for number, server in enumerate(servers):
                eventually(
                    partial(uses, server, key_ids[-1], f"kept-{number}"),
                    within=POLL_SECONDS,
                    explain=server.tail,
                )
            migrate(servers[0])
            # What the load writes and deletes may still be there for a moment, under the newest key.
            assert counts(etcd, stage.prefix, key_ids[:-1]) == [0] * (len(key_ids) - 1)
            assert counts(etcd, stage.prefix, key_ids[-1:])[0] >= OBJECTS
            assert not running.errors
    assert running.done > 100
    assert len(set(key_ids)) == ROTATIONS + 1

    first = key_ids[0]
    refused = own.run("key", "destroy", "v1", "--key-id", first, "--stored", "0")
    assert refused.returncode == 5, "it is not disabled"
    for command in (
        ("key", "check", "v1", "--stored", "0"),
        ("key", "disable", "v1", "--stored", "0"),
        ("key", "destroy", "v1", "--key-id", first, "--stored", "0"),
        ("audit", "verify"),
    ):
        done = own.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    fresh = stage.apiserver(kms)
    assert fresh.secrets() == EXPECTED
    assert own.status().key_id == key_ids[-1]
