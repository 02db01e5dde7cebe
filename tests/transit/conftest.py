"""One real server for all tests, a Transit key of its own for each, and an engine that uses it."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.engines.transit import TransitEngine
from appliance.engines.transit.engine import CALL_SECONDS
from appliance.keys.engine import EngineState, Made
from appliance.transit.access import Access
from appliance.transit.policy import policy
from tests.transit.openbao import Cluster, Node, single, three
from tests.usage.authority import Authority

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="session")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with single(tmp_path_factory.mktemp("bao") / "one", authority) as node:
        yield node


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with three(tmp_path_factory.mktemp("bao") / "three", authority) as nodes:
        yield nodes


@dataclass
class Site:
    """A node of ours beside a server, with a Transit key that no other test knows."""

    server: Node
    key: str
    directory: Path
    access: Access
    engine: TransitEngine

    def take(self, state: EngineState | None = None) -> Made:
        """Take up the latest version, and open the engine with it."""
        made = self.engine.make(self.directory, state or EngineState(), "")
        self.engine.open(self.directory, made.state)
        return made

    def wrap(self, made: Made, plaintext: bytes = bytes(32)) -> bytes:
        return self.engine.wrap(made.object_id, plaintext, b"aad")

    def unwrap(self, made: Made, body: bytes) -> bytes:
        return self.engine.unwrap(made.object_id, body, b"aad")

    def token(self, text: str) -> None:
        """Put another token where the node reads it, as an agent does: beside, and renamed."""
        secret(self.directory / "token.new", text).rename(self.directory / "token")


def secret(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


MakeEngine = Callable[..., TransitEngine]


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    made: list[TransitEngine] = []

    def make(access: Access, call_seconds: float = CALL_SECONDS) -> TransitEngine:
        made.append(TransitEngine(access, call_seconds))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def site(server: Node, tmp_path: Path, make_engine: MakeEngine) -> Site:
    """The node's token has the policy that we print, and nothing else."""
    return beside(server, tmp_path, make_engine)


def beside(server: Node, directory: Path, make_engine: MakeEngine, *addresses: str) -> Site:
    key = f"key-{next(_NUMBERS)}"
    server.create_key(key)
    access = Access(
        addresses=addresses or (server.address,),
        ca_file=server.authority.certificate,
        key=key,
        token_file=directory / "token",
    )
    server.policy(key, policy(access))
    secret(directory / "token", server.token(key))
    return Site(server, key, directory, access, make_engine(access))


def by_approle(site: Site, make_engine: MakeEngine, **options: object) -> Site:
    """The same node, which logs in by AppRole."""
    role = site.server.approle(site.key, mount=f"approle-{site.key}", **options)
    access = replace(
        site.access,
        auth="approle",
        auth_mount=f"approle-{site.key}",
        token_file=None,
        role_id_file=secret(site.directory / "role-id", role.role_id),
        secret_id_file=secret(site.directory / "secret-id", role.secret_id),
    )
    return replace(site, access=access, engine=make_engine(access))
