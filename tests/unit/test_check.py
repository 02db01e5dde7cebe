"""Is it safe to do without a key: every row of the table."""

import pytest

from appliance.keys.keyset import Key, KeySet, KeyState, Moment
from appliance.ops.check import Condition, Evidence, Verdict, conditions, may_destroy, may_disable
from appliance.volume.ledger import Use
from tests.fakes import made

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
HOUR = 3600
LINEAGE = "0123456789ab"
OLD = Key.born(LINEAGE, 1, KeyState.RETIRED, made("object-1", b"\x01" * 48), Moment(0, 10 * HOUR))
NEW = Key.born(LINEAGE, 2, KeyState.PRIMARY, made("object-2", b"\x02" * 48), Moment(0, 10 * HOUR))
KEYSET = KeySet(LINEAGE, (OLD, NEW))
QUIET = Evidence(served=36 * HOUR, use=Use(), primary_use=Use(wrapped=1))


def found(known: Evidence, key: Key = OLD) -> dict[str, Condition]:
    return {condition.name: condition for condition in conditions(KEYSET, key, known)}


def verdict(name: str, known: Evidence) -> Verdict:
    return found(known)[name].verdict


def test_every_condition_is_there_with_a_sentence() -> None:
    names = ["not primary", "new key in use", "not asked for", "nothing stored", "backed up"]
    assert list(found(QUIET)) == names
    assert all(condition.text for condition in found(QUIET).values())


def test_the_primary_key_is_never_safe_to_do_without() -> None:
    known = Evidence(36 * HOUR, Use(), Use(wrapped=1), stored=0)
    assert found(known, NEW)["not primary"].verdict is FAIL
    assert not may_disable(conditions(KEYSET, NEW, known))
    assert not may_destroy(conditions(KEYSET, NEW, known))


@pytest.mark.parametrize(("wrapped", "expected"), [(0, FAIL), (1, PASS)])
def test_the_new_key_is_in_use_once_it_encrypted(wrapped: int, expected: Verdict) -> None:
    assert verdict("new key in use", Evidence(36 * HOUR, Use(), Use(wrapped=wrapped))) is expected


@pytest.mark.parametrize(
    ("served", "last", "expected"),
    [
        (36 * HOUR, 0, PASS),
        (35 * HOUR, 0, PASS),
        (35 * HOUR - 1, 0, UNKNOWN),
        (36 * HOUR, 11 * HOUR, PASS),
        (36 * HOUR, 12 * HOUR, UNKNOWN),
        (5 * HOUR, 0, UNKNOWN),
    ],
    ids=["long", "25 h since retired", "a second less", "asked 25 h ago", "asked 24 h ago", "before it"],
)
def test_silence_counts_from_the_last_decrypt_and_never_from_before_it_was_retired(
    served: int, last: int, expected: Verdict
) -> None:
    known = Evidence(served, Use(unwrapped=7, last_unwrapped=last), Use(wrapped=1))
    assert verdict("not asked for", known) is expected


@pytest.mark.parametrize(("stored", "expected"), [(None, UNKNOWN), (0, PASS), (1, FAIL)])
def test_only_a_count_tells_what_is_stored(stored: int | None, expected: Verdict) -> None:
    assert verdict("nothing stored", Evidence(0, Use(), Use(), stored)) is expected


@pytest.mark.parametrize(("backed_up", "expected"), [(None, UNKNOWN), (True, PASS), (False, FAIL)])
def test_a_backup_is_verified_or_not_or_was_never_made(backed_up: bool | None, expected: Verdict) -> None:
    assert verdict("backed up", Evidence(0, Use(), Use(), backed_up=backed_up)) is expected


BUSY, UNUSED = Use(unwrapped=1, last_unwrapped=35 * HOUR), Use()


@pytest.mark.parametrize(
    ("stored", "use", "primary_use", "disable", "destroy"),
    [
        (None, Use(), Use(wrapped=1), True, False),
        (None, BUSY, Use(wrapped=1), False, False),
        (None, Use(), UNUSED, False, False),
        (0, BUSY, UNUSED, True, True),
        (0, Use(), Use(wrapped=1), True, True),
        (1, Use(), Use(wrapped=1), False, False),
    ],
    ids=["silent", "asked for", "new key unused", "counted, nothing", "all well", "counted, something"],
)
def test_disabling_takes_silence_or_a_count_and_destroying_a_count(
    stored: int | None, use: Use, primary_use: Use, *, disable: bool, destroy: bool
) -> None:
    judged = conditions(KEYSET, OLD, Evidence(36 * HOUR, use, primary_use, stored))
    assert (may_disable(judged), may_destroy(judged)) == (disable, destroy)
