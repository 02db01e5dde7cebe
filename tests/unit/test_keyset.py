"""The key list: what a lineage can have, and its name."""

import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.keys.keyset import Key, KeySet, KeyState
from tests.fakes import made

LINEAGE = "0123456789ab"
OLD = Key.born(LINEAGE, 1, KeyState.RETIRED, made("a", b"one"))
NEW = Key.born(LINEAGE, 2, KeyState.PRIMARY, made("b", b"two"))


@st.composite
def keysets(draw: st.DrawFn) -> KeySet:
    count = draw(st.integers(1, 6))
    lineage = draw(st.from_regex(r"[0-9a-f]{12}", fullmatch=True))
    primary = draw(st.integers(1, count))
    others = [state for state in KeyState if state is not KeyState.PRIMARY]
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=count, max_size=count, unique=True))
    keys = [
        Key.born(
            lineage,
            version,
            KeyState.PRIMARY if version == primary else draw(st.sampled_from(others)),
            made(name, draw(st.binary(max_size=48))),
            engine=draw(st.sampled_from(["softhsm", "transit"])),
        )
        for version, name in enumerate(names, 1)
    ]
    return KeySet(lineage, tuple(keys))


@given(keysets())
def test_comes_back_from_its_json(keyset: KeySet) -> None:
    again = KeySet.from_json(json.loads(json.dumps(keyset.to_json())))
    assert again == keyset
    assert again.hash == keyset.hash
    assert again.primary.state is KeyState.PRIMARY


def test_staged_primary_and_retired_keys_decrypt() -> None:
    assert {state for state in KeyState if state.decrypts} == {"staged", "primary", "retired"}


def test_order_of_a_keys_life() -> None:
    assert list(KeyState) == ["staged", "primary", "retired", "disabled", "destroyed"]


@pytest.mark.parametrize(
    ("lineage", "keys", "why"),
    [
        ("0123456789AB", (), "hexadecimal"),
        ("0123456789abc", (), "hexadecimal"),
        (LINEAGE, (), "primary"),
        (LINEAGE, (OLD,), "primary"),
        (LINEAGE, (replace(OLD, state=KeyState.PRIMARY), NEW), "primary"),
        (LINEAGE, (NEW,), "gap"),
        (LINEAGE, (NEW, OLD), "gap"),
        (LINEAGE, (replace(OLD, version=0), replace(NEW, version=1)), "gap"),
        (LINEAGE, (OLD, replace(NEW, object_id="a")), "object id"),
        (LINEAGE, (OLD, replace(NEW, lineage="ffffffffffff")), "another lineage"),
    ],
)
def test_refuses_a_list_that_no_lineage_can_have(lineage: str, keys: tuple[Key, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        KeySet(lineage, keys)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@given(JSON | st.fixed_dictionaries({"lineage": JSON, "keys": JSON}))
def test_any_json_is_a_key_list_or_one_of_three_errors(data: object) -> None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        KeySet.from_json(data)  # type: ignore[arg-type]


def test_the_hash_is_short_and_never_changes() -> None:
    assert KeySet(LINEAGE, (OLD, NEW)).hash == "c023-c124"


def _with(change: Callable[[Key], Key]) -> KeySet:
    return KeySet(LINEAGE, (change(OLD), NEW))


@pytest.mark.parametrize(
    "other",
    [
        _with(lambda key: replace(key, state=KeyState.DISABLED)),
        _with(lambda key: replace(key, fingerprint="0123456789ab")),
        KeySet(LINEAGE, (replace(OLD, state=KeyState.PRIMARY), replace(NEW, state=KeyState.RETIRED))),
        KeySet(LINEAGE, (OLD, NEW, Key.born(LINEAGE, 3, KeyState.STAGED, made("c", b"three")))),
        KeySet("ffffffffffff", (replace(OLD, lineage="f" * 12), replace(NEW, lineage="f" * 12))),
    ],
    ids=["state", "key", "roles", "one more", "lineage"],
)
def test_the_hash_tells_what_nodes_must_agree_on(other: KeySet) -> None:
    assert other.hash != KeySet(LINEAGE, (OLD, NEW)).hash


def test_the_hash_does_not_depend_on_what_an_engine_calls_a_key() -> None:
    assert _with(lambda key: replace(key, object_id="elsewhere")).hash == KeySet(LINEAGE, (OLD, NEW)).hash


@given(keysets())
def test_ids_within_a_set_are_never_the_same(keyset: KeySet) -> None:
    assert all(one.id != other.id for one, other in itertools.combinations(keyset.keys, 2))


def test_a_version_that_was_lost_is_skipped_and_never_given_again() -> None:
    keyset = KeySet(LINEAGE, (OLD, NEW)).without_versions_to(4)
    assert keyset.skipped == (3, 4)
    later = replace(NEW, version=7, state=KeyState.STAGED, object_id="later", fingerprint="0123456789ab")
    further = keyset.with_keys(later)
    assert further.skipped == (3, 4, 5, 6)
    assert further.newest == 7
    assert further.now(OLD) == OLD
    assert KeySet.from_json(json.loads(json.dumps(further.to_json()))) == further


@pytest.mark.parametrize("skipped", [(2,), (4,), (3, 3), (4, 3), (0,), ("3",)])
def test_what_is_skipped_fills_gaps_and_nothing_else(skipped: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        KeySet(LINEAGE, (OLD, NEW), skipped)
