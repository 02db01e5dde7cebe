"""What every engine promises of tokens: made, changed, proved, opened and closed."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from tests.contract.bench import Bench, Held, damaged
from tests.volume.house import refused

NONCE = bytes(range(12))
AAD = b"associated"


def lost(bench: Bench, name: str) -> None:
    """The key is not there, whichever way it is asked."""
    with pytest.raises(bench.missing):
        bench.engine.wrap(name, b"plaintext", AAD)
    with pytest.raises(bench.missing):
        bench.engine.unwrap(name, bytes(60), AAD)


def test_a_new_token_has_one_key_that_answers_as_told(bench: Bench, one: Held) -> None:
    assert len(one.answers) == 1
    assert bench.opens(one)
    bench.prove(one)


def test_no_token_is_like_another(bench: Bench, one: Held) -> None:
    other = bench.make()
    assert not {*other.answers} & {*one.answers}
    assert not {*other.answers.values()} & {*one.answers.values()}


def test_one_key_more_leaves_the_others_as_they_are(bench: Bench, two: Held) -> None:
    assert len({*two.answers.values()}) == 2
    assert bench.opens(two)
    bench.prove(two)


@pytest.mark.parametrize("which", [0, 1])
def test_one_key_less_leaves_the_others_as_they_are(local: Bench, local_two: Held, which: int) -> None:
    gone = [*local_two.answers][which]
    left = local.destroy(local_two, gone)
    assert local.opens(left)
    local.prove(left)
    with local.opened(left):
        lost(local, gone)


def test_a_changed_image_is_another_one(local: Bench, local_two: Held) -> None:
    before = dict(local_two.state.files)
    local.extend(local_two)
    local.destroy(local_two, next(iter(local_two.answers)))
    local.adopt(local_two)
    assert local_two.state.files == before
    local.prove(local_two)


def test_a_name_is_given_once(local: Bench, local_two: Held) -> None:
    first, second = local_two.answers
    assert refused(lambda: local.extend(local_two, first)) is faults.TRIAL_FAILED
    assert refused(lambda: local.extend(local_two, second)) is faults.TRIAL_FAILED


def test_what_is_not_there_cannot_be_taken_away(local: Bench, local_two: Held) -> None:
    assert refused(lambda: local.destroy(local_two, secrets.token_hex(16))) is faults.TRIAL_FAILED


@pytest.mark.parametrize("which", [0, 1])
def test_a_wrong_answer_fails_the_trial(bench: Bench, two: Held, which: int) -> None:
    name, answer = [*two.answers.items()][which]
    lie = answer[:-1] + bytes((answer[-1] ^ 1,))
    liar = replace(two, answers={**two.answers, name: lie})
    assert refused(lambda: bench.prove(liar)) is faults.TRIAL_FAILED


def test_a_missing_key_fails_the_trial(local: Bench, local_one: Held, local_two: Held) -> None:
    assert refused(lambda: local.prove(replace(local_two, state=local_one.state))) is faults.TRIAL_FAILED


def test_a_key_too_many_fails_the_trial(local: Bench, local_one: Held, local_two: Held) -> None:
    assert refused(lambda: local.prove(replace(local_one, state=local_two.state))) is faults.TRIAL_FAILED


@pytest.mark.parametrize("how", ["gone", "empty", "cut"])
def test_a_damaged_image_fails_the_trial(local: Bench, local_two: Held, how: str) -> None:
    assert refused(lambda: local.prove(damaged(local_two, how))) is faults.TRIAL_FAILED


def test_a_found_token_lies_beside_ours(local: Bench, local_two: Held) -> None:
    both, theirs, warning = local.adopt(local_two)
    assert theirs not in local_two.answers
    assert "plaintext" in warning
    assert local.opens(both)
    local.prove(both)
    with local.opened(both):
        written = AESGCM(local.theirs).encrypt(NONCE, b"plaintext", AAD)
        assert local.engine.unwrap(theirs, NONCE + written, AAD) == b"plaintext"


def test_a_found_token_goes_as_a_whole(local: Bench, local_two: Held) -> None:
    both, theirs, _ = local.adopt(local_two)
    left = local.destroy(both, theirs)
    assert left.state == local_two.state
    with local.opened(left):
        lost(local, theirs)


def test_a_found_token_is_changed_with_ours(local: Bench, local_two: Held) -> None:
    both, _, _ = local.adopt(local_two)
    changed = local.extend(local.destroy(both, next(iter(local_two.answers))))
    assert local.opens(changed)
    local.prove(changed)


def test_a_found_token_is_taken_once(local: Bench, local_two: Held) -> None:
    both, _, _ = local.adopt(local_two)
    assert refused(lambda: local.adopt(both)) is faults.KEY_ADOPTED_ALREADY


def test_may_be_opened_and_closed_again_and_again(bench: Bench, two: Held) -> None:
    for _ in range(2):
        with bench.opened(two), bench.opened(two):
            assert bench.proved(two)
        bench.engine.close()


def test_a_second_image_takes_the_place_of_the_first(local: Bench, local_one: Held, local_two: Held) -> None:
    (kept,), other = local_one.answers, local.make()
    with local.opened(local_two), local.opened(other):
        assert local.proved(other)
        lost(local, kept)


def test_a_closed_engine_has_lost_its_keys(bench: Bench, one: Held) -> None:
    (kept,) = one.answers
    with bench.opened(one):
        bench.engine.close()
        lost(bench, kept)


def test_what_does_not_open_leaves_it_closed(local: Bench, local_one: Held) -> None:
    (kept,) = local_one.answers
    with local.opened(local_one):
        with pytest.raises(faults.KleidiError) as caught, local.opened(damaged(local_one, "gone")):
            pass
        assert caught.value.fault is faults.TOKEN_LOST
        lost(local, kept)
    assert local.opens(local_one)


def test_an_open_token_is_not_disturbed_by_a_change(local: Bench, local_one: Held, local_two: Held) -> None:
    with local.opened(local_one):
        local.extend(local_one)
        local.destroy(local_two, [*local_two.answers][1])
        local.adopt(local_one)
        local.prove(local_one)
        assert local.proved(local_one)


@pytest.mark.parametrize(
    "act",
    [
        lambda bench, _: bench.make(),
        lambda bench, two: bench.extend(two),
        lambda bench, two: bench.destroy(two, next(iter(two.answers))),
        lambda bench, two: bench.prove(two),
        lambda bench, two: bench.opens(two),
    ],
    ids=["make", "extend", "destroy", "prove", "open"],
)
def test_leaves_nothing_beside_its_scratch(
    bench: Bench, two: Held, act: Callable[[Bench, Held], object]
) -> None:
    act(bench, two)
    assert bench.left() == []


def test_taking_over_a_token_leaves_nothing_beside_its_scratch(local: Bench, local_two: Held) -> None:
    local.adopt(local_two)
    assert local.left() == []
