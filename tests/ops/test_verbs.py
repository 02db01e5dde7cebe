from dataclasses import replace

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Command, Verb
from tests.ops.shop import DAY, Shop
from tests.volume.house import refused


def test_staging_adds_a_key_that_opens_and_is_not_announced(shop: Shop) -> None:
    primary = shop.keyset.primary
    outcome = shop.run(Verb.STAGE)
    assert (outcome.key.name, outcome.key.state) == ("v2", KeyState.STAGED)
    assert outcome.said == (f"{outcome.key.id} is staged",)
    assert shop.keyset == outcome.opened.payload.keyset
    assert shop.keyset.primary == primary


def test_staging_twice_is_refused(shop: Shop) -> None:
    shop.run(Verb.STAGE)
    assert shop.refused(Verb.STAGE) is faults.KEY_STAGED_ALREADY


def test_promoting_switches_and_everything_before_still_opens(shop: Shop) -> None:
    before = shop.wrap()
    shop.run(Verb.STAGE)
    outcome = shop.run(Verb.PROMOTE, "v2")
    assert shop.states() == ["retired", "primary"]
    after = shop.wrap()
    assert after.key_id == outcome.key.id != before.key_id
    assert shop.opens(before, after)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("v9", faults.KEY_NO_SUCH),
        ("", faults.KEY_NO_SUCH),
        ("v1", faults.KEY_STATE),
        ("v2", faults.KEY_IS_PRIMARY),
    ],
    ids=["unknown", "unnamed", "disabled", "primary"],
)
def test_promoting_any_but_a_staged_key_is_refused(shop: Shop, name: str, fault: faults.Fault) -> None:
    shop.disabled()
    assert shop.refused(Verb.PROMOTE, name) is fault


def test_no_key_becomes_primary_a_second_time(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    assert shop.refused(Verb.PROMOTE, "v1") is faults.KEY_STATE


def test_rotating_stages_and_promotes_as_two_generations(shop: Shop) -> None:
    outcome = shop.run(Verb.ROTATE)
    assert (outcome.key.name, outcome.key.state) == ("v2", KeyState.PRIMARY)
    assert outcome.opened.header.generation == 3


def test_rotating_goes_on_from_a_staged_key(shop: Shop) -> None:
    staged = shop.run(Verb.STAGE).key
    assert shop.run(Verb.ROTATE).key.id == staged.id
    assert shop.states() == ["retired", "primary"]


def test_a_staged_key_can_be_given_up_and_still_opens(shop: Shop) -> None:
    shop.run(Verb.STAGE)
    shop.run(Verb.RETIRE, "v2")
    assert shop.states() == ["primary", "retired"]
    assert shop.run(Verb.STAGE).key.name == "v3"


@pytest.mark.parametrize("verb", [Verb.DISABLE, Verb.RETIRE, Verb.ENABLE, Verb.DESTROY])
def test_the_primary_key_is_left_alone(shop: Shop, verb: Verb) -> None:
    key = shop.keyset.primary
    assert shop.refused(verb, "v1", stored=0, force=True, reason="x", typed=key.id) is faults.KEY_IS_PRIMARY


def test_disabling_without_proof_is_refused_and_says_what_is_missing(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    assert shop.refused(Verb.DISABLE, "v1") is faults.KEY_IN_USE
    assert shop.refused(Verb.DISABLE, "v1", stored=7) is faults.KEY_IN_USE
    with pytest.raises(faults.KleidiError) as caught:
        shop.run(Verb.DISABLE, "v1", stored=7)
    assert "nothing stored: FAIL, 7 objects are stored under v1" in caught.value.detail
    assert "new key in use: FAIL" in caught.value.detail


def test_disabling_takes_a_count_of_nothing(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    assert shop.run(Verb.DISABLE, "v1", stored=0).key.state is KeyState.DISABLED


def test_disabling_takes_a_day_of_silence(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    shop.clocks.wrapped(shop.keyset.primary.id)
    shop.clocks.unwrapped(shop.key("v1").id)
    shop.clocks.go_on(DAY)
    assert shop.refused(Verb.DISABLE, "v1") is faults.KEY_IN_USE
    shop.clocks.go_on(3600)
    assert shop.run(Verb.DISABLE, "v1").key.state is KeyState.DISABLED


def test_disabling_can_be_forced_and_the_reason_is_written_down(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    shop.run(Verb.DISABLE, "v1", stored=7, force=True, reason="the key leaked", by="0:4711")
    entry = shop.audit.tail(1)[0]
    assert (entry["op"], entry["phase"], entry["by"]) == ("disable", "done", "0:4711")
    assert entry["reason"] == "the key leaked"
    assert shop.audit.tail(2)[0]["force"] is True


def test_a_disabled_key_refuses_with_the_day_until_it_is_enabled(shop: Shop) -> None:
    before = shop.wrap()
    key = shop.disabled()
    with shop.keyring() as ring, pytest.raises(faults.KleidiError) as caught:
        ring.unwrap(before.key_id, before.envelope)
    assert caught.value.fault is faults.KEY_DISABLED
    assert caught.value.said == f"disabled on {key.since.date}"
    shop.run(Verb.ENABLE, "v1")
    assert shop.opens(before)


@pytest.mark.parametrize("verb", [Verb.STAGE, Verb.ROTATE])
def test_a_key_set_that_is_not_the_expected_one_stops_everything(shop: Shop, verb: Verb) -> None:
    assert shop.refused(verb, expect_keyset="0000-0000") is faults.KEYSET_DIFFERS
    assert shop.run(verb, expect_keyset=shop.keyset.hash)


@pytest.mark.parametrize(
    ("verb", "key"),
    [
        (Verb.STAGE, ""),
        (Verb.ROTATE, ""),
        (Verb.ENABLE, "v1"),
        (Verb.DESTROY, "v1"),
    ],
)
def test_a_dry_run_changes_not_a_byte(shop: Shop, verb: Verb, key: str) -> None:
    typed = shop.disabled().id
    shop.clocks.go_on(8 * DAY)
    before = shop.house.snapshot()
    outcome = shop.run(verb, key, typed=typed, stored=0, dry_run=True)
    assert shop.house.snapshot() == before
    assert outcome.said[0].startswith("would ")


@pytest.mark.parametrize(("verb", "key"), [(Verb.PROMOTE, "v3"), (Verb.RETIRE, "v3"), (Verb.DISABLE, "v1")])
def test_a_dry_run_of_the_other_verbs_changes_not_a_byte(shop: Shop, verb: Verb, key: str) -> None:
    shop.run(Verb.ROTATE)
    shop.run(Verb.STAGE)
    before = shop.house.snapshot()
    assert shop.run(verb, key, stored=0, dry_run=True).said[0].startswith(f"would make {shop.key(key).id}")
    assert shop.house.snapshot() == before


def test_a_dry_run_is_refused_as_the_real_one_would_be(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    assert shop.refused(Verb.DISABLE, "v1", dry_run=True) is faults.KEY_IN_USE


def test_three_generations_are_kept(shop: Shop) -> None:
    for _ in range(3):
        shop.run(Verb.ROTATE)
    assert shop.generations == [5, 6, 7]


def test_a_second_administrator_is_told_to_wait(shop: Shop) -> None:
    with shop.storage.volume.lock():
        assert refused(lambda: shop.run(Verb.ROTATE)) is faults.VOLUME_LOCKED
    shop.run(Verb.ROTATE)


def test_a_change_leaves_the_anchor_at_its_generation(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    known = shop.storage.anchor.read()
    assert known
    assert known.generation == 3


def test_an_anchor_that_cannot_be_written_is_said_and_stops_nothing(shop: Shop) -> None:
    shop.house.anchor.unlink()
    shop.house.anchor.mkdir()
    outcome = shop.run(Verb.ROTATE)
    assert shop.states() == ["retired", "primary"]
    assert faults.ANCHOR_UNREADABLE in outcome.opened.warnings


@pytest.mark.parametrize(("verb", "key"), [(Verb.ROTATE, ""), (Verb.PROMOTE, "v2")])
@pytest.mark.parametrize("broken", ["gone", "wrong"])
def test_no_key_becomes_primary_that_the_next_start_could_not_open(
    shop: Shop, verb: Verb, key: str, broken: str
) -> None:
    if key:
        shop.run(Verb.STAGE)
    with shop.storage.volume.lock():
        opened = shop.storage.open()
        if broken == "gone":
            shop.house.seal_key.unlink()
        else:
            shop.house.seal_key.write_bytes(bytes(32))
        before = shop.house.snapshot()
        command = Command(verb, key, by="0:1")
        assert refused(lambda: shop.operations.run(opened, command)) is faults.KEY_WOULD_DIE
        dry_run = replace(command, dry_run=True)
        assert refused(lambda: shop.operations.run(opened, dry_run)) is faults.KEY_WOULD_DIE
        assert shop.house.snapshot() == before
        forced = replace(command, force=True, reason="there is another slot")
        assert shop.operations.run(opened, forced).key.state is KeyState.PRIMARY
    *_, entry = shop.audit.tail(1)
    assert (entry["op"], entry["force"], entry["reason"]) == ("promote", True, "there is another slot")


def test_a_new_primary_key_that_is_in_no_backup_is_told(shop: Shop) -> None:
    assert any("no verified backup holds v2" in said for said in shop.run(Verb.ROTATE).said)
    covered = replace(shop.operations, backed_up=lambda _keyset: True)
    with shop.storage.volume.lock():
        said = covered.run(shop.storage.open(), Command(Verb.ROTATE, by="0:1")).said
    assert not any("backup" in line for line in said)


def test_a_check_says_what_the_verbs_would(shop: Shop) -> None:
    """Whatever state a key is in, and however long it waited."""
    operations = shop.operations
    shop.run(Verb.ROTATE)
    steps = (lambda: None, lambda: shop.run(Verb.DISABLE, "v1", stored=0), lambda: shop.clocks.go_on(8 * DAY))
    for step in steps:
        step()
        keyset, key = shop.keyset, shop.key("v1")
        for stored in (None, 0, 1):
            judged = operations.judge(keyset, key, operations.conditions(keyset, key, stored))
            for verb, judgement in zip((Verb.DISABLE, Verb.DESTROY), judged, strict=True):
                try:
                    shop.run(verb, "v1", stored=stored, typed=key.id, dry_run=True)
                    refusal = ""
                except KleidiError as error:
                    refusal = error.fault.id
                assert judgement.allowed == (not refusal)
                assert judgement.why.partition(":")[0] == refusal or not refusal


def test_a_key_that_must_wait_says_until_when(shop: Shop) -> None:
    shop.disabled()
    shop.clocks.go_on(DAY)
    with pytest.raises(KleidiError) as caught:
        shop.run(Verb.DESTROY, "v1", typed=shop.key("v1").id, stored=0)
    # 2027-01-15 08:00 UTC is the clocks' beginning.
    assert caught.value.detail == "from 2027-01-22 08:00 UTC on"
    shop.clocks.unix += DAY
    with pytest.raises(KleidiError) as caught:
        shop.run(Verb.DESTROY, "v1", typed=shop.key("v1").id, stored=0)
    assert caught.value.detail == "from 2027-01-22 08:00 UTC on, after 144.0 h more of serving"
