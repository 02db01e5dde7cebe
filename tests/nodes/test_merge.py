"""A brought key set goes on from the one that is held, or is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.keyset import Key, KeySet, KeyState, Moment
from appliance.nodes.merge import updated, welcomed
from tests.fakes import made
from tests.volume.house import LINEAGE, OTHER_LINEAGE, refused

ORDER = list(KeyState)
NOW = Moment(2_000, 700)
THEN = Moment(1_000, 90_000)


def keyset(*states: KeyState, lineage: str = LINEAGE, salt: str = "") -> KeySet:
    return KeySet(
        lineage,
        tuple(
            Key.born(
                lineage, number, state, made(f"k{number}{salt}", f"answer {number}{salt}".encode()), THEN
            )
            for number, state in enumerate(states, 1)
        ),
    )


P, S, R, D, X = KeyState.PRIMARY, KeyState.STAGED, KeyState.RETIRED, KeyState.DISABLED, KeyState.DESTROYED


@pytest.mark.parametrize(
    ("held", "brought"),
    [
        (keyset(P), keyset(P, S)),
        (keyset(P, S), keyset(R, P)),
        (keyset(P), keyset(R, P)),
        (keyset(P, S), keyset(P, R)),
        (keyset(R, P), keyset(D, P)),
        (keyset(D, P), keyset(X, P, S)),
        (keyset(P), keyset(P)),
    ],
)
def test_what_goes_on_takes_the_place(held: KeySet, brought: KeySet) -> None:
    found = updated(held, brought, NOW)
    assert found.hash == brought.hash


@pytest.mark.parametrize(
    ("held", "brought", "fault"),
    [
        (keyset(P, S), keyset(P), faults.BUNDLE_STALE),
        (keyset(R, P), keyset(P, S), faults.BUNDLE_STALE),
        (keyset(X, P), keyset(R, P), faults.BUNDLE_STALE),
        (keyset(X, P), keyset(D, P, S), faults.BUNDLE_STALE),
        (keyset(D, P), keyset(R, P), faults.BUNDLE_STALE),
        (keyset(P), keyset(P, lineage=OTHER_LINEAGE), faults.LINEAGE_FOREIGN),
        (keyset(P), keyset(P, salt="!"), faults.KEYSET_CONFLICT),
    ],
)
def test_what_does_not_is_refused(held: KeySet, brought: KeySet, fault: faults.Fault) -> None:
    assert refused(lambda: updated(held, brought, NOW)) is fault


def test_two_nodes_that_both_staged_are_told_so() -> None:
    held, brought = keyset(P, S), keyset(P, S)
    theirs = replace(brought.keys[1], fingerprint="0123456789ab", object_id="other")
    with pytest.raises(KleidiError) as caught:
        updated(held, brought.with_keys(theirs), NOW)
    assert caught.value.fault is faults.KEYSET_CONFLICT
    assert held.keys[1].id in caught.value.detail
    assert theirs.id in caught.value.detail


def test_waiting_times_begin_anew_where_a_state_is_new_here() -> None:
    """The other node's time served says nothing of this one's: none may run out too early."""
    found = updated(keyset(R, P), keyset(D, P), NOW)
    assert found.keys[0].since == Moment(THEN.unix, NOW.served)
    assert found.keys[1].since == THEN
    assert {key.since for key in welcomed(keyset(R, P), Moment(0, 0)).keys} == {Moment(THEN.unix, 0)}


states = st.lists(st.sampled_from([S, R, D, X]), max_size=4)


@given(states, states)
def test_no_key_ever_gets_lost_or_goes_back(ours: list[KeyState], theirs: list[KeyState]) -> None:
    held, brought = keyset(P, *ours), keyset(P, *theirs)
    try:
        found = updated(held, brought, NOW)
    except KleidiError as error:
        assert error.fault is faults.BUNDLE_STALE  # noqa: PT017  either is right, but nothing else
        return
    assert len(found.keys) >= len(held.keys)
    for before, after in zip(held.keys, found.keys, strict=False):
        assert before.id == after.id
        assert ORDER.index(before.state) <= ORDER.index(after.state)


def test_one_key_that_two_nodes_took_up_elsewhere_is_one_though_each_wrapped_its_own_answer() -> None:
    (key,) = keyset(P).keys
    ours = KeySet(LINEAGE, (replace(key, engine="transit"),))
    theirs = KeySet(LINEAGE, (replace(key, engine="transit", known_answer=b"wrapped by another node"),))
    assert updated(ours, theirs, NOW).hash == ours.hash
    # SoftHSM's answers repeat: another one is another key, whatever its fingerprint says.
    other = KeySet(LINEAGE, (replace(key, known_answer=b"another answer"),))
    assert refused(lambda: updated(keyset(P), other, NOW)) is faults.KEYSET_CONFLICT
    # Nor does a key change its engine.
    assert refused(lambda: updated(keyset(P), ours, NOW)) is faults.KEYSET_CONFLICT
