"""SoftHSM serves calls from copies of its keys in memory, and tells all the same when a token is lost."""

import shutil
from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys import key_id
from appliance.keys.engine import SOFTHSM, Copies, LostError, Made
from appliance.keys.envelope import NONCE_SIZE
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import Key, KeySet, KeyState
from tests.contract.bench import Bench

AAD = b"associated"


@pytest.fixture
def bench(memory_dir: Path) -> Bench:
    return Bench(SoftHsmEngine(), memory_dir)


def lose(bench: Bench) -> None:
    """Take away the files of what is open."""
    (tokens,) = bench.memory_dir.glob("*/tokens")
    for path in (tokens, *tokens.glob("*")):
        path.chmod(0o700)
    shutil.rmtree(tokens)


def test_calls_go_on_when_the_files_went_and_a_known_answer_tells(bench: Bench) -> None:
    held = bench.make()
    ((name, answer),) = held.answers.items()
    with bench.opened(held):
        body = bench.engine.wrap(name, b"plaintext", AAD)
        lose(bench)
        assert bench.engine.unwrap(name, body, AAD) == b"plaintext"
        with pytest.raises(LostError):
            bench.engine.unwrap(name, answer, key_id.PROBE_AAD)
    assert bench.opens(held)


def test_the_probe_of_a_key_tells_that_the_files_went(bench: Bench) -> None:
    held = bench.make()
    ((name, answer),) = held.answers.items()
    made = Made(held.state, name, answer, print_source=answer[NONCE_SIZE:])
    key = Key.born("0123456789ab", 1, KeyState.PRIMARY, made)
    with bench.opened(held):
        ring = Keyring(KeySet(key.lineage, (key,)), {SOFTHSM: bench.engine})
        ring.probe()
        lose(bench)
        with pytest.raises(LostError):
            ring.probe()


def test_it_says_what_a_key_is_used_from(bench: Bench) -> None:
    engine, held = bench.engine, bench.make()
    assert isinstance(engine, Copies)
    (name,) = held.answers
    assert engine.copied(name) is None
    with bench.opened(held):
        assert engine.copied(name) is None
        assert bench.proved(held)  # which asks the token itself
        assert engine.copied(name) is None
        engine.wrap(name, b"plaintext", AAD)
        assert engine.copied(name) is True
    assert engine.copied(name) is None
