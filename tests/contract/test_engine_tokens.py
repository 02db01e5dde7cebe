"""What every engine promises of tokens: made, changed, proved, opened and closed."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from appliance.keys.engine import LostError
from tests.contract.bench import Bench, Held, damaged
from tests.volume.house import refused

NONCE = bytes(range(12))
AAD = b"associated"


def lost(bench: Bench, name: str) -> None:
    """The key is not there, whichever way it is asked."""
    with pytest.raises(LostError):
        bench.engine.wrap(name, b"plaintext", AAD)
    with pytest.raises(LostError):
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
def test_one_key_less_leaves_the_others_as_they_are(bench: Bench, two: Held, which: int) -> None:
    gone = [*two.answers][which]
    left = bench.destroy(two, gone)
    assert bench.opens(left)
    bench.prove(left)
    with bench.opened(left):
        lost(bench, gone)


def test_a_changed_image_is_another_one(bench: Bench, two: Held) -> None:
    before = dict(two.state.files)
    bench.extend(two)
    bench.destroy(two, next(iter(two.answers)))
    bench.adopt(two)
    assert two.state.files == before
    bench.prove(two)


def test_a_name_is_given_once(bench: Bench, two: Held) -> None:
    first, second = two.answers
    assert refused(lambda: bench.extend(two, first)) is faults.TRIAL_FAILED
    assert refused(lambda: bench.extend(two, second)) is faults.TRIAL_FAILED


def test_what_is_not_there_cannot_be_taken_away(bench: Bench, two: Held) -> None:
    assert refused(lambda: bench.destroy(two, secrets.token_hex(16))) is faults.TRIAL_FAILED


@pytest.mark.parametrize("which", [0, 1])
def test_a_wrong_answer_fails_the_trial(bench: Bench, two: Held, which: int) -> None:
    name, answer = [*two.answers.items()][which]
    lie = answer[:-1] + bytes((answer[-1] ^ 1,))
    liar = replace(two, answers={**two.answers, name: lie})
    assert refused(lambda: bench.prove(liar)) is faults.TRIAL_FAILED


def test_a_missing_key_fails_the_trial(bench: Bench, one: Held, two: Held) -> None:
    assert refused(lambda: bench.prove(replace(two, state=one.state))) is faults.TRIAL_FAILED


def test_a_key_too_many_fails_the_trial(bench: Bench, one: Held, two: Held) -> None:
    assert refused(lambda: bench.prove(replace(one, state=two.state))) is faults.TRIAL_FAILED


@pytest.mark.parametrize("how", ["gone", "empty", "cut"])
def test_a_damaged_image_fails_the_trial(bench: Bench, two: Held, how: str) -> None:
    assert refused(lambda: bench.prove(damaged(two, how))) is faults.TRIAL_FAILED


def test_a_found_token_lies_beside_ours(bench: Bench, two: Held) -> None:
    both, theirs, warning = bench.adopt(two)
    assert theirs not in two.answers
    assert "plaintext" in warning
    assert bench.opens(both)
    bench.prove(both)
    with bench.opened(both):
        written = AESGCM(bench.theirs).encrypt(NONCE, b"plaintext", AAD)
        assert bench.engine.unwrap(theirs, NONCE + written, AAD) == b"plaintext"


def test_a_found_token_goes_as_a_whole(bench: Bench, two: Held) -> None:
    both, theirs, _ = bench.adopt(two)
    left = bench.destroy(both, theirs)
    assert left.state == two.state
    with bench.opened(left):
        lost(bench, theirs)


def test_a_found_token_is_changed_with_ours(bench: Bench, two: Held) -> None:
    both, _, _ = bench.adopt(two)
    changed = bench.extend(bench.destroy(both, next(iter(two.answers))))
    assert bench.opens(changed)
    bench.prove(changed)


def test_a_found_token_is_taken_once(bench: Bench, two: Held) -> None:
    both, _, _ = bench.adopt(two)
    assert refused(lambda: bench.adopt(both)) is faults.KEY_ADOPTED_ALREADY


def test_may_be_opened_and_closed_again_and_again(bench: Bench, two: Held) -> None:
    for _ in range(2):
        with bench.opened(two), bench.opened(two):
            assert bench.proved(two)
        bench.engine.close()


def test_a_second_image_takes_the_place_of_the_first(bench: Bench, one: Held, two: Held) -> None:
    (kept,), other = one.answers, bench.make()
    with bench.opened(two), bench.opened(other):
        assert bench.proved(other)
        lost(bench, kept)


def test_a_closed_engine_has_lost_its_keys(bench: Bench, one: Held) -> None:
    (kept,) = one.answers
    with bench.opened(one):
        bench.engine.close()
        lost(bench, kept)


def test_what_does_not_open_leaves_it_closed(bench: Bench, one: Held) -> None:
    (kept,) = one.answers
    with bench.opened(one):
        with pytest.raises(faults.KleidiError) as caught, bench.opened(damaged(one, "gone")):
            pass
        assert caught.value.fault is faults.TOKEN_LOST
        lost(bench, kept)
    assert bench.opens(one)


def test_an_open_token_is_not_disturbed_by_a_change(bench: Bench, one: Held, two: Held) -> None:
    with bench.opened(one):
        bench.extend(one)
        bench.destroy(two, [*two.answers][1])
        bench.adopt(one)
        bench.prove(one)
        assert bench.proved(one)


@pytest.mark.parametrize(
    "act",
    [
        lambda bench, _: bench.make(),
        lambda bench, two: bench.extend(two),
        lambda bench, two: bench.destroy(two, next(iter(two.answers))),
        lambda bench, two: bench.adopt(two),
        lambda bench, two: bench.prove(two),
        lambda bench, two: bench.opens(two),
    ],
    ids=["make", "extend", "destroy", "adopt", "prove", "open"],
)
def test_leaves_nothing_beside_its_scratch(
    bench: Bench, two: Held, act: Callable[[Bench, Held], object]
) -> None:
    act(bench, two)
    assert bench.left() == []
