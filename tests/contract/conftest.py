"""Every engine that there is, on a bench: the fixture changes, no test does."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import softhsm
from appliance.cli.adopt import read_files
from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.found import FoundToken
from appliance.volume import memory
from tests.contract.bench import Bench, Held
from tests.fakes import FakeEngine
from tests.ops.shop import found_token
from tests.token.foreign_program import PIN, ForeignProgram

LABEL = "kms-test"


@pytest.fixture(scope="module")
def memory_dir() -> Iterator[Path]:
    """Where rooms are made, alone in a directory: what is left beside them is seen."""
    root = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108  where tokens live
    (root / "memory").mkdir(mode=0o700, parents=True)
    yield root / "memory"
    memory.remove(root)


@pytest.fixture(scope="module", params=["fake", "softhsm"])
def bench(
    request: pytest.FixtureRequest, memory_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    if request.param == "fake":
        theirs = secrets.token_bytes(32)
        yield Bench(FakeEngine(), memory_dir, found_token(theirs, LABEL), theirs)
        return
    with foreign(tmp_path_factory.mktemp("foreign") / "tokens") as program:
        found = FoundToken(read_files(program.tokens), PIN, "", LABEL)
        yield Bench(SoftHsmEngine(), memory_dir, found, program.value())


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
