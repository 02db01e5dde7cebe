"""An engine that gets ready for a state ahead of being opened with it, while it serves another."""

from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import LostError
from appliance.volume import memory
from tests.contract.bench import Bench, Held

AAD = b"associated"


@pytest.fixture(scope="module")
def engine() -> SoftHsmEngine:
    return SoftHsmEngine()


@pytest.fixture(scope="module")
def bench(memory_dir: Path, engine: SoftHsmEngine) -> Bench:
    return Bench(engine, memory_dir)


@pytest.mark.parametrize("what", ["one key more", "one key less", "another token"])
def test_it_serves_what_is_open_until_it_is_opened_with_what_it_got_ready_for(
    bench: Bench, engine: SoftHsmEngine, two: Held, what: str
) -> None:
    first = next(iter(two.answers))
    makes = {"one key more": bench.extend, "one key less": lambda held: bench.destroy(held, first)}
    other = makes.get(what, lambda _: bench.make())(two)
    with memory.room(bench.memory_dir) as room:
        engine.open(room, two.state)
        place = room / "place"
        place.mkdir()
        engine.prepare(place, other.state)
        assert bench.proved(two)
        laid_out = (place / "tokens").stat().st_ino
        engine.open(place, other.state)
        assert (place / "tokens").stat().st_ino == laid_out
        assert bench.proved(other)
        if first not in other.answers:
            with pytest.raises(LostError):
                engine.wrap(first, b"plaintext", AAD)
        engine.close()


def test_another_state_than_was_prepared_is_opened_all_the_same(
    bench: Bench, engine: SoftHsmEngine, one: Held
) -> None:
    other = bench.make()
    with memory.room(bench.memory_dir) as room:
        for name in ("first", "prepared", "second"):
            (room / name).mkdir()
        engine.open(room / "first", one.state)
        engine.prepare(room / "prepared", other.state)
        engine.open(room / "second", one.state)
        assert bench.proved(one)
        engine.close()
