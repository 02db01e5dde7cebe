"""Every engine that there is, on a bench: the fixture changes, no test does."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

import softhsm
from appliance.cli.adopt import read_files
from appliance.engines.pkcs11.engine import Pkcs11Engine
from appliance.engines.softhsm import SoftHsmEngine
from appliance.engines.transit import TransitEngine
from appliance.keys.found import FoundToken
from appliance.transit.access import Access
from appliance.volume import memory
from tests.contract.bench import Bench, Held
from tests.fakes import FakeEngine, FakeRemote
from tests.ops.shop import found_token
from tests.pkcs11 import places
from tests.token.foreign_program import PIN, ForeignProgram
from tests.transit.node import admitted
from tests.transit.openbao import single
from tests.usage.authority import Authority

LABEL = "kms-test"


@pytest.fixture(scope="module")
def memory_dir() -> Iterator[Path]:
    """Where rooms are made, alone in a directory: what is left beside them is seen."""
    root = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108  where tokens live
    (root / "memory").mkdir(mode=0o700, parents=True)
    yield root / "memory"
    memory.remove(root)


_IN_THE_SEAL = ["fake", "softhsm"]
_REMOTE = ["remote fake", "transit", "pkcs11"]


@pytest.fixture(scope="module", params=[*_IN_THE_SEAL, *_REMOTE])
def bench(
    request: pytest.FixtureRequest, memory_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("engine")
    match request.param:
        case "remote fake":
            yield Bench(FakeRemote(), memory_dir)
        case "transit":
            yield from _transit(memory_dir, directory)
        case "pkcs11":
            with places.softhsm(directory) as place:
                engine = Pkcs11Engine(place.options)
                yield Bench(engine, memory_dir)
                engine.close()
        case name:
            yield from _local(name, memory_dir, directory)


@pytest.fixture(scope="module", params=_IN_THE_SEAL)
def local(
    request: pytest.FixtureRequest, memory_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """An engine whose keys are in the seal, whole."""
    yield from _local(request.param, memory_dir, tmp_path_factory.mktemp("engine"))


def _local(name: str, memory_dir: Path, directory: Path) -> Iterator[Bench]:
    if name == "fake":
        theirs = secrets.token_bytes(32)
        yield Bench(FakeEngine(), memory_dir, found_token(theirs, LABEL), theirs)
        return
    with foreign(directory / "tokens") as program:
        found = FoundToken(read_files(program.tokens), PIN, "", LABEL)
        yield Bench(SoftHsmEngine(), memory_dir, found, program.value())


def _transit(memory_dir: Path, directory: Path) -> Iterator[Bench]:
    with single(directory / "bao", Authority(directory / "ca")) as server:
        told = admitted(server, directory / "login")
        named = {name: Path(value) if name.endswith("_file") else value for name, value in told.items()}
        settings = {f"transit_{each.name}": each.default for each in fields(Access)} | named
        engine = TransitEngine(Access.of(SimpleNamespace(**settings)))
        yield Bench(engine, memory_dir, prepare=server.rotate)
        engine.close()


@contextmanager
def foreign(tokens: Path) -> Iterator[ForeignProgram]:
    """Another plugin, with one key on its one token."""
    try:
        library = softhsm.Library.find()
    except softhsm.ModuleMissingError:
        if "CI" in os.environ:
            raise
        pytest.skip("SoftHSM is not installed")
    tokens.mkdir()
    program = ForeignProgram(library, tokens)
    program.keygen(program.init_token("theirs"), LABEL)
    yield program
    library.unload()


@pytest.fixture(scope="module")
def one(bench: Bench) -> Held:
    """A token of the engine's making, with the one key that it is born with."""
    return bench.make()


@pytest.fixture(scope="module")
def two(bench: Bench, one: Held) -> Held:
    """The same with a second key."""
    return bench.extend(one)


@pytest.fixture(scope="module")
def local_one(local: Bench) -> Held:
    return local.make()


@pytest.fixture(scope="module")
def local_two(local: Bench, local_one: Held) -> Held:
    return local.extend(local_one)
