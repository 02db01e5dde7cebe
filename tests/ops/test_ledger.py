"""What was used and how long was served: saved, taken up again, and safely wrong when it is lost."""

import json
from pathlib import Path

import pytest

from appliance.keys.keyset import Key, KeySet, KeyState, Moment
from appliance.volume.ledger import Ledger, Use
from tests.fakes import made

KEY_ID = "kleidi/0123456789ab/v1/000000000000"


def keyset(served: int = 0) -> KeySet:
    since = Moment(0, served)
    return KeySet(
        "0123456789ab", (Key.born("0123456789ab", 1, KeyState.PRIMARY, made("k1", b"\x01" * 48), since),)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.json"


def saved(path: Path, served: int = 5000) -> Ledger:
    """A ledger as an earlier boot left it."""
    ledger = Ledger(path)
    ledger.take_up(keyset(served))
    ledger.wrapped(KEY_ID)
    ledger.unwrapped(KEY_ID)
    ledger.unwrapped(KEY_ID)
    ledger.save()
    return ledger


def test_goes_on_from_what_was_saved(path: Path) -> None:
    before = saved(path)
    after = Ledger(path)
    after.take_up(keyset())
    assert after.use(KEY_ID) == before.use(KEY_ID) == Use(1, 2, before.use(KEY_ID).last_unwrapped)
    assert 5000 <= before.served <= after.served + 1
    assert after.now().served == after.served


def test_takes_up_only_once(path: Path) -> None:
    saved(path)
    ledger = Ledger(path)
    ledger.take_up(keyset())
    ledger.unwrapped(KEY_ID)
    ledger.take_up(keyset())
    assert ledger.use(KEY_ID).unwrapped == 3


def test_a_key_never_used_was_never_used(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.use("kms-test") == Use()
    assert json.loads(ledger.to_json())["keys"] == {}


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"schema": "kleidi.ledger/v2", "served_seconds": 9000, "keys": {}}',
        b'{"schema": "kleidi.ledger/v1", "served_seconds": "soon", "keys": {}}',
        b'{"schema": "kleidi.ledger/v1", "served_seconds": 9000, "keys": {"x": {"odd": 1}}}',
        b'{"schema": "kleidi.ledger/v1", "served_seconds": 9000}',
    ],
    ids=["lost", "empty", "cut", "list", "null", "bytes", "nested", "newer", "no number", "odd", "half"],
)
def test_what_cannot_be_read_counts_as_nothing_and_time_served_never_goes_back(
    path: Path, content: bytes | None
) -> None:
    if content is not None:
        path.write_bytes(content)
    ledger = Ledger(path)
    ledger.take_up(keyset(4000))
    assert ledger.use(KEY_ID) == Use()
    # What the key set remembers was served; nothing of a ledger that is not whole counts.
    assert 4000 <= ledger.served < 8000


def test_a_path_that_cannot_be_written_is_an_error_of_the_disks(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "nowhere" / "ledger.json")
    with pytest.raises(OSError, match="No such file"):
        ledger.save()


def test_without_a_path_it_is_only_kept_in_memory() -> None:
    ledger = Ledger()
    ledger.take_up(keyset())
    ledger.save()
    assert ledger.served >= 0
