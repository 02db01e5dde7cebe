"""The decision of all decisions, over every combination of what can be observed."""

import itertools

import pytest

from appliance import faults
from appliance.faults import Fault
from appliance.provision.plan import Observation, Refusal, Step, plan
from appliance.provision.policy import Policy
from appliance.volume.anchor import Memory
from appliance.volume.generations import Survey, VolumeState
from appliance.volume.slot import Presence

REMEMBERED = Memory("0123456789ab", 3)
SURVEYS = [
    Survey(state, mounted, writable, newest=7 if state is VolumeState.SEALED else 0)
    for state, mounted, writable in itertools.product(VolumeState, [False, True], [False, True])
]
EVERY = [
    Observation(*values)
    for values in itertools.product(
        Policy,
        SURVEYS,
        Presence,
        [False, True],
        [None, REMEMBERED],
        [False, True],
        [None, "0123456789ab"],
        [False, True],
    )
]
FRESH = Observation(Policy.AUTO, Survey(VolumeState.EMPTY, mounted=True, writable=True), Presence.CREATABLE)


def evidence(seen: Observation) -> bool:
    """Any sign of an older key."""
    return (
        seen.survey.state is not VolumeState.EMPTY
        or seen.seal_key_used
        or seen.remembered is not None
        or not seen.anchor_readable
        or seen.expected_lineage is not None
    )


def lasts(seen: Observation) -> bool:
    """Whether what is written will stay."""
    return seen.survey.writable and (seen.survey.mounted or seen.allow_unmounted)


def test_a_first_key_is_made_only_on_purpose_without_evidence_and_where_it_lasts() -> None:
    for seen in EVERY:
        steps = plan(seen)
        if not isinstance(steps, Refusal) and Step.MAKE_FIRST_GENERATION in steps:
            assert seen.policy is Policy.AUTO, seen
            assert not evidence(seen), seen
            assert lasts(seen), seen


def test_a_first_key_is_made_whenever_nothing_speaks_against_it() -> None:
    for seen in EVERY:
        if seen.policy is Policy.AUTO and not evidence(seen) and lasts(seen):
            steps = plan(seen)
            if seen.seal_key is Presence.PRESENT:
                assert steps == (Step.MAKE_FIRST_GENERATION, Step.VERIFY)
            elif seen.seal_key is Presence.CREATABLE:
                assert steps == (Step.CREATE_SEAL_KEY, Step.MAKE_FIRST_GENERATION, Step.VERIFY)
            else:
                assert isinstance(steps, Refusal), seen


def test_a_sealed_volume_is_only_ever_verified() -> None:
    for seen in EVERY:
        if seen.survey.state is VolumeState.SEALED:
            assert plan(seen) == (Step.VERIFY,)


def test_every_plan_ends_with_a_look_at_what_is_there() -> None:
    for seen in EVERY:
        steps = plan(seen)
        assert isinstance(steps, Refusal) or steps[-1] is Step.VERIFY


def test_a_seal_key_is_made_only_for_a_first_generation() -> None:
    for seen in EVERY:
        steps = plan(seen)
        if not isinstance(steps, Refusal) and Step.CREATE_SEAL_KEY in steps:
            assert seen.seal_key is Presence.CREATABLE
            assert steps.index(Step.CREATE_SEAL_KEY) < steps.index(Step.MAKE_FIRST_GENERATION)


def test_every_refusal_names_a_fault_that_does_not_end_with_success() -> None:
    for seen in EVERY:
        steps = plan(seen)
        if isinstance(steps, Refusal):
            assert steps.fault in faults.every()
            assert steps.fault.exit != 0


def changed(**fields: object) -> Observation:
    return Observation(**{**FRESH.__dict__, **fields})


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (changed(survey=Survey(VolumeState.MISSING)), faults.VOLUME_MISSING),
        (changed(survey=Survey(VolumeState.UNREADABLE)), faults.VOLUME_UNREADABLE),
        (changed(survey=Survey(VolumeState.FOREIGN)), faults.VOLUME_FOREIGN),
        (changed(remembered=REMEMBERED), faults.VOLUME_EMPTIED),
        (changed(remembered=REMEMBERED, policy=Policy.NEVER), faults.VOLUME_EMPTIED),
        (changed(remembered=REMEMBERED, policy=Policy.JOIN), faults.VOLUME_EMPTIED),
        (changed(anchor_readable=False), faults.ANCHOR_UNREADABLE),
        (changed(seal_key_used=True, seal_key=Presence.PRESENT), faults.SEAL_KEY_USED),
        (changed(expected_lineage="0123456789ab"), faults.VOLUME_EMPTIED),
        (changed(expected_lineage="0123456789ab", policy=Policy.JOIN), faults.AWAITING_JOIN),
        (changed(policy=Policy.NEVER), faults.VOLUME_EMPTY),
        (changed(policy=Policy.JOIN), faults.AWAITING_JOIN),
        (changed(survey=Survey(VolumeState.EMPTY, writable=True)), faults.VOLUME_NOT_MOUNTED),
        (changed(survey=Survey(VolumeState.EMPTY, mounted=True)), faults.VOLUME_READ_ONLY),
        (changed(seal_key=Presence.INVALID), faults.SEAL_KEY_INVALID),
        (changed(seal_key=Presence.ABSENT), faults.SEAL_KEY_UNWRITABLE),
    ],
)
def test_says_precisely_what_is_in_the_way(seen: Observation, fault: Fault) -> None:
    refusal = plan(seen)
    assert isinstance(refusal, Refusal)
    assert refusal.fault is fault


def test_names_what_is_foreign() -> None:
    strangers = Survey(VolumeState.FOREIGN, strangers=("tokens", "notes.txt"))
    assert plan(changed(survey=strangers)) == Refusal(faults.VOLUME_FOREIGN, "tokens, notes.txt")


def test_unmounted_is_allowed_only_explicitly() -> None:
    survey = Survey(VolumeState.EMPTY, writable=True)
    assert plan(changed(survey=survey, allow_unmounted=True)) == plan(FRESH)
