"""Real files, a real memory directory, and a user who may not do everything."""

import os
import pickle
import secrets
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from appliance.engines.softhsm import SoftHsmEngine
from tests.volume.house import House

NOBODY = 65534

# How long one example takes says more about the machine than about the code.
hypothesis.settings.register_profile("kleidi", deadline=None)
hypothesis.settings.load_profile("kleidi")


@pytest.fixture
def memory_dir() -> Iterator[Path]:
    path = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108
    path.mkdir(mode=0o700)
    yield path
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(0o700)  # an open token is kept read-only
    shutil.rmtree(path)


@pytest.fixture
def house(tmp_path: Path, memory_dir: Path) -> House:
    return House(tmp_path, memory_dir).build()


@pytest.fixture
def engine() -> Iterator[SoftHsmEngine]:
    made = SoftHsmEngine()
    yield made
    made.close()


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], Any]], Any]:
    """Call something as a user without any rights; what it answers comes back, what it raises fails."""

    def call(act: Callable[[], Any]) -> Any:  # noqa: ANN401
        if os.geteuid() != 0:
            return act()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                os.write(writer, pickle.dumps(act()))
                code = 0
            except BaseException:  # noqa: BLE001  nothing may go on in the child
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            answer = file.read()
        assert os.waitpid(child, 0)[1] == 0
        return pickle.loads(answer)  # noqa: S301  our own child's

    return call


@pytest.fixture
def open_house(memory_dir: Path) -> House:
    """A house that anybody may walk into; pytest's own directories are the user's only."""
    memory_dir.chmod(0o755)
    house = House(memory_dir / "house", memory_dir / "memory").build()
    house.root.chmod(0o755)
    if os.geteuid() == 0:
        for directory in (house.volume, house.etc):
            os.chown(directory, NOBODY, NOBODY)
    return house
