import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys import lifecycle
from appliance.keys.keyset import Adopted, Key, KeySet, KeyState, Moment
from tests.fakes import made

LINEAGE = "0123456789ab"
WAIT = 100
THEIRS = Adopted("kms-test", "version.encryption.remote.io")
PAST, NOW = Moment(1000, 500), Moment(1000 + WAIT, 500 + WAIT)
S, P, R, D, X = KeyState.STAGED, KeyState.PRIMARY, KeyState.RETIRED, KeyState.DISABLED, KeyState.DESTROYED


def keys_in(*states: KeyState) -> KeySet:
    keys = (
        Key.born(LINEAGE, version, state, made(f"object-{version}", bytes([version]) * 48), PAST)
        for version, state in enumerate(states, 1)
    )
    return KeySet(LINEAGE, tuple(keys))


def states(keyset: KeySet) -> list[KeyState]:
    return [key.state for key in keyset.keys]


def refusal(verb: str, keyset: KeySet, version: int, now: Moment = NOW) -> Fault:
    key = keyset.keys[version - 1]
    arguments = (key.id, WAIT, now) if verb == "destroy" else (now,)
    with pytest.raises(KleidiError) as caught:
        getattr(lifecycle, verb)(keyset, key, *arguments)
    return caught.value.fault


def test_a_staged_key_comes_last_and_nothing_else_changes() -> None:
    before = keys_in(R, P)
    after = lifecycle.stage(before, made("object-3", b"\x03" * 48), NOW)
    assert after.keys[:2] == before.keys
    assert (after.keys[2].state, after.keys[2].since, after.keys[2].name) == (S, NOW, "v3")
    assert after.primary == before.primary


def test_a_second_staged_key_is_refused() -> None:
    with pytest.raises(KleidiError) as caught:
        lifecycle.stage(keys_in(P, S), made("object-3", b"\x03" * 48), NOW)
    assert caught.value.fault is faults.KEY_STAGED_ALREADY


def test_promoting_retires_the_primary_key_in_the_same_step() -> None:
    after = lifecycle.promote(keys_in(R, P, S), keys_in(R, P, S).keys[2], NOW)
    assert states(after) == [R, R, P]
    assert [key.since for key in after.keys] == [PAST, NOW, NOW]


def test_a_staged_key_can_be_given_up() -> None:
    before = keys_in(P, S)
    assert states(lifecycle.retire(before, before.keys[1], NOW)) == [P, R]


def test_disabling_is_undone_by_enabling() -> None:
    before = keys_in(R, P)
    disabled = lifecycle.disable(before, before.keys[0], NOW)
    assert states(disabled) == [D, P]
    enabled = lifecycle.enable(disabled, disabled.keys[0], NOW)
    assert states(enabled) == [R, P]
    assert enabled.keys[0].id == before.keys[0].id


def test_an_adopted_key_comes_in_retired() -> None:
    after = lifecycle.adopt(keys_in(P), made("serial/label:kms-test", b"\x02" * 48), THEIRS, NOW)
    assert states(after) == [P, R]
    assert after.keys[1].id == "kms-test"
    with pytest.raises(KleidiError) as caught:
        lifecycle.adopt(after, made("other/label:kms-test", b"\x03" * 48), THEIRS, NOW)
    assert caught.value.fault is faults.KEY_ADOPTED_ALREADY


@pytest.mark.parametrize(
    ("verb", "allowed"), [("promote", S), ("retire", S), ("disable", R), ("enable", D), ("destroy", D)]
)
@pytest.mark.parametrize("state", [S, R, D, X])
def test_each_verb_takes_keys_of_one_state_only(verb: str, allowed: KeyState, state: KeyState) -> None:
    if state is not allowed:
        assert refusal(verb, keys_in(P, state), 2) is faults.KEY_STATE


@pytest.mark.parametrize("verb", ["promote", "retire", "disable", "enable", "destroy"])
def test_the_primary_key_is_left_alone_by_every_verb(verb: str) -> None:
    assert refusal(verb, keys_in(P, R), 1) is faults.KEY_IS_PRIMARY


@pytest.mark.parametrize(
    "now",
    [Moment(PAST.unix + WAIT - 1, PAST.served + WAIT), Moment(PAST.unix + WAIT, PAST.served + WAIT - 1)],
    ids=["by the wall clock", "by time served"],
)
def test_destroying_too_early_by_either_clock_is_refused(now: Moment) -> None:
    assert refusal("destroy", keys_in(D, P), 1, now) is faults.KEY_TOO_EARLY


@pytest.mark.parametrize("jump", [10**9, -(10**9)], ids=["ahead", "back"])
def test_a_wall_clock_that_jumps_never_shortens_the_wait(jump: int) -> None:
    early = Moment(PAST.unix + jump, PAST.served + WAIT - 1)
    assert refusal("destroy", keys_in(D, P), 1, early) is faults.KEY_TOO_EARLY


@pytest.mark.parametrize("typed", ["", "v1", "kleidi/0123456789ab/v1/000000000000"])
def test_destroying_needs_the_whole_key_id(typed: str) -> None:
    keyset = keys_in(D, P)
    with pytest.raises(KleidiError) as caught:
        lifecycle.destroy(keyset, keyset.keys[0], typed, WAIT, NOW)
    assert caught.value.fault is faults.KEY_ID_MISMATCH


def test_a_destroyed_key_leaves_its_name_and_its_day() -> None:
    keyset = keys_in(D, P)
    gone = lifecycle.destroy(keyset, keyset.keys[0], keyset.keys[0].id, WAIT, NOW)
    assert gone.keys[0] == dataclasses.replace(keyset.keys[0], state=X, since=NOW)


def test_a_key_is_found_by_its_name_and_by_its_id() -> None:
    keyset = keys_in(R, P)
    assert lifecycle.find(keyset, "v1") is lifecycle.find(keyset, keyset.keys[0].id) is keyset.keys[0]
    for name in ("", "1", "v3", "V1", "v01"):
        with pytest.raises(KleidiError) as caught:
            lifecycle.find(keyset, name)
        assert caught.value.fault is faults.KEY_NO_SUCH
        assert "v1, v2" in caught.value.detail


class Lineage(RuleBasedStateMachine):
    """Any verbs in any order, by an operator who reads no message; the clocks go on as they like."""

    @initialize()
    def begin(self) -> None:
        self.keyset = keys_in(P)
        self.clock = Moment(0, 0)
        self.primaries = [self.keyset.primary.id]
        self.ids = {key.object_id: key.id for key in self.keyset.keys}

    @rule(unix=st.integers(-500, 500), served=st.integers(0, 500))
    def time_passes(self, unix: int, served: int) -> None:
        self.clock = Moment(self.clock.unix + unix, self.clock.served + served)

    @rule()
    def stage(self) -> None:
        version = len(self.keyset.keys) + 1
        answer = version.to_bytes(48, "big")
        self._try(lambda: lifecycle.stage(self.keyset, made(f"object-{version}", answer), self.clock))

    @rule()
    def adopt(self) -> None:
        answer = (10_000).to_bytes(48, "big")
        self._try(lambda: lifecycle.adopt(self.keyset, made("serial/label:x", answer), THEIRS, self.clock))

    @rule(verb=st.sampled_from(["promote", "retire", "disable", "enable"]), place=st.integers(0, 1000))
    def turn(self, verb: str, place: int) -> None:
        key = self.keyset.keys[place % len(self.keyset.keys)]
        self._try(lambda: getattr(lifecycle, verb)(self.keyset, key, self.clock))

    @rule(place=st.integers(0, 1000))
    def destroy(self, place: int) -> None:
        key = self.keyset.keys[place % len(self.keyset.keys)]
        self._try(lambda: lifecycle.destroy(self.keyset, key, key.id, WAIT, self.clock))

    def _try(self, act: Callable[[], KeySet]) -> None:
        try:
            after = act()
        except KleidiError as error:
            assert error.fault.exit is faults.Exit.REFUSED  # noqa: PT017  most of them are refused
            return
        dead = {key.id for key in self.keyset.keys if key.state is X}
        assert dead <= {key.id for key in after.keys if key.state is X}
        self.keyset = after
        if after.primary.id != self.primaries[-1]:
            # Never A, B, A: each that was primary once is only ever left behind.
            assert after.primary.id not in self.primaries
            self.primaries.append(after.primary.id)

    @invariant()
    def one_key_encrypts_and_no_id_is_used_twice(self) -> None:
        assert states(self.keyset).count(P) == 1
        assert states(self.keyset).count(S) <= 1
        for key in self.keyset.keys:
            assert self.ids.setdefault(key.object_id, key.id) == key.id
        assert len(set(self.ids.values())) == len(self.ids) == len(self.keyset.keys)
        assert self.keyset.primary.adopted is None

    @invariant()
    def survives_being_written_down(self) -> None:
        assert KeySet.from_json(self.keyset.to_json()) == self.keyset


TestAnyVerbs = Lineage.TestCase


def test_who_shares_an_engine_counts_as_it_does() -> None:
    before = keys_in(R, P)
    theirs = dataclasses.replace(made("k5", b"five"), lineage=LINEAGE, number=5)
    after = lifecycle.stage(before, theirs, NOW)
    assert ([key.version for key in after.keys], after.skipped) == ([1, 2, 5], (3, 4))
    # A number that was given already, or a cluster that did not begin there: the next one.
    for made_there in (dataclasses.replace(theirs, number=1), dataclasses.replace(theirs, lineage="f" * 12)):
        assert lifecycle.stage(before, made_there, NOW).keys[-1].version == 3


def test_another_nodes_key_has_its_own_version_or_none() -> None:
    before = keys_in(R, P).without_versions_to(4)
    after = lifecycle.discover(before, made("k4", b"four"), 4, NOW, "transit")
    assert ([key.name for key in after.keys], after.skipped) == (["v1", "v2", "v4"], (3,))
    assert [key.name for key in lifecycle.discover(after, made("k3", b"3"), 3, NOW, "transit").keys][
        2
    ] == "v3"
    with pytest.raises(KleidiError) as caught:
        lifecycle.discover(after, made("other", b"other"), 2, NOW, "transit")
    assert caught.value.fault is faults.KEYSET_CONFLICT
