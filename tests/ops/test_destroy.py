"""The one verb that cannot be undone."""

import pytest

from appliance import faults
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from appliance.volume.payload import Payload
from appliance.volume.seal import unseal
from tests.ops.shop import DAY, WAIT_SECONDS, Shop


def test_too_early_by_time_served_is_refused_whatever_the_wall_clock_says(shop: Shop) -> None:
    key = shop.disabled()
    shop.clocks.seconds += WAIT_SECONDS - 1
    for jump in (10 * 365 * DAY, -20 * 365 * DAY):
        shop.clocks.unix += jump
        assert shop.refused(Verb.DESTROY, "v1", typed=key.id, stored=0) is faults.KEY_TOO_EARLY


def test_too_early_by_the_wall_clock_is_refused_however_long_it_served(shop: Shop) -> None:
    key = shop.disabled()
    shop.clocks.go_on(WAIT_SECONDS - 1)
    shop.clocks.seconds += 365 * DAY
    assert shop.refused(Verb.DESTROY, "v1", typed=key.id, stored=0) is faults.KEY_TOO_EARLY


def test_enabling_in_between_starts_the_wait_anew(shop: Shop) -> None:
    key = shop.disabled()
    shop.clocks.go_on(WAIT_SECONDS)
    shop.run(Verb.ENABLE, "v1")
    shop.run(Verb.DISABLE, "v1", stored=0)
    assert shop.refused(Verb.DESTROY, "v1", typed=key.id, stored=0) is faults.KEY_TOO_EARLY


@pytest.mark.parametrize("typed", ["", "v1", "yes"])
def test_a_key_id_not_typed_in_full_is_refused(shop: Shop, typed: str) -> None:
    shop.disabled()
    shop.clocks.go_on(WAIT_SECONDS)
    assert shop.refused(Verb.DESTROY, "v1", typed=typed, stored=0) is faults.KEY_ID_MISMATCH


def test_another_keys_id_is_refused(shop: Shop) -> None:
    shop.disabled()
    shop.clocks.go_on(WAIT_SECONDS)
    other = shop.keyset.primary.id
    assert shop.refused(Verb.DESTROY, "v1", typed=other, stored=0) is faults.KEY_ID_MISMATCH


@pytest.mark.parametrize("stored", [None, 1, 100_000])
def test_without_a_count_of_nothing_it_is_refused_and_no_force_helps(shop: Shop, stored: int | None) -> None:
    key = shop.disabled()
    shop.clocks.go_on(365 * DAY)
    options = {"typed": key.id, "stored": stored, "force": True, "reason": "no room"}
    assert shop.refused(Verb.DESTROY, "v1", **options) is faults.KEY_IN_USE


def test_a_key_that_is_not_disabled_is_refused(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    key = shop.key("v1")
    shop.clocks.go_on(365 * DAY)
    assert shop.refused(Verb.DESTROY, "v1", typed=key.id, stored=0) is faults.KEY_STATE


def test_done_the_key_is_nowhere_on_the_volume_and_its_tombstone_answers(shop: Shop) -> None:
    before = shop.wrap()
    key = shop.disabled()
    after = shop.wrap()
    shop.clocks.go_on(WAIT_SECONDS)
    gone = shop.destroy(key).key

    assert shop.states() == ["destroyed", "primary"]
    assert shop.generations == [5]
    assert key.object_id not in str(sorted(shop.storage.open().payload.state(SOFTHSM).files))
    with shop.keyring() as ring, pytest.raises(faults.KleidiError) as caught:
        ring.unwrap(before.key_id, before.envelope)
    assert caught.value.fault is faults.KEY_DESTROYED
    assert caught.value.said == f"destroyed on {gone.since.date}"
    assert shop.opens(after)


def test_a_destroyed_key_stays_destroyed(shop: Shop) -> None:
    key = shop.disabled()
    shop.clocks.go_on(WAIT_SECONDS)
    shop.destroy(key)
    shop.clocks.go_on(WAIT_SECONDS)
    assert shop.refused(Verb.ENABLE, "v1") is faults.KEY_STATE
    assert shop.refused(Verb.DESTROY, "v1", typed=key.id, stored=0) is faults.KEY_STATE
    assert shop.run(Verb.ROTATE).key.name == "v3"


def test_older_generations_that_outlived_it_go_at_the_next_opening(shop: Shop) -> None:
    key = shop.disabled()
    kept = {number: shop.storage.volume.read(number) for number in shop.generations}
    shop.clocks.go_on(WAIT_SECONDS)
    shop.destroy(key)
    for number, sealed in kept.items():  # as a kill behind the commit leaves them
        shop.storage.volume.file(number).write_bytes(sealed)
    shop.storage.forget(shop.storage.open())
    assert shop.generations == [5]


def test_older_generations_without_it_are_kept(shop: Shop) -> None:
    key = shop.disabled()
    shop.clocks.go_on(WAIT_SECONDS)
    shop.destroy(key)
    shop.run(Verb.ROTATE)
    shop.storage.forget(shop.storage.open())
    assert shop.generations == [5, 6, 7]


def test_the_real_token_lets_go_of_the_key_and_of_no_other(real_shop: Shop) -> None:
    shop = real_shop
    first = shop.wrap()
    size = len(shop.storage.open().payload.state(SOFTHSM).files)
    key = shop.disabled()
    second = shop.wrap()
    shop.clocks.go_on(WAIT_SECONDS)
    shop.destroy(key)

    sealed = shop.storage.volume.read(shop.generations[-1])
    payload = Payload.from_bytes(unseal(sealed, [shop.storage.custody.load()])[1])
    files = payload.state(SOFTHSM).files
    assert len(files) == size
    # SoftHSM keeps CKA_ID in the clear, so that its bytes would show.
    assert not [name for name, data in files.items() if bytes.fromhex(key.object_id) in data]
    assert shop.opens(second)
    with shop.keyring() as ring, pytest.raises(faults.KleidiError) as caught:
        ring.unwrap(first.key_id, first.envelope)
    assert caught.value.fault is faults.KEY_DESTROYED


def test_a_whole_life_on_the_real_token(real_shop: Shop) -> None:
    shop, written = real_shop, [real_shop.wrap()]
    for _ in range(2):
        shop.run(Verb.STAGE)
        assert shop.opens(*written)
        shop.run(Verb.PROMOTE, shop.keyset.keys[-1].name)
        written.append(shop.wrap())
        assert shop.opens(*written)
    assert len({each.key_id for each in written}) == 3
    shop.run(Verb.STAGE)
    shop.run(Verb.RETIRE, "v4")
    shop.run(Verb.DISABLE, "v1", stored=0)
    assert shop.opens(*written[1:])
    shop.run(Verb.ENABLE, "v1")
    assert shop.opens(*written)
    assert [key.state for key in shop.keyset.keys].count(KeyState.PRIMARY) == 1
    assert shop.audit.verify() == 18
