"""Slots whose key something else keeps, as the machine's own way in: away, back, alone, and not alone."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.backup.restore import Restorer
from appliance.ops.slots import Act
from appliance.provision.apply import Provisioner
from appliance.provision.policy import Policy
from appliance.service.seal_key_watch import SealKeyWatch
from appliance.slots.asked import Asked
from appliance.slots.escrow import EscrowSecret, Opening
from appliance.slots.listing import rows
from appliance.volume.commit import Committer, Hook
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from appliance.volume.slot import HeldSlot
from tests.fakes import FakeEngine
from tests.slots.fakes import FakeEscrow, slot
from tests.slots.shop import SlotShop
from tests.volume.house import House, refused

RECOVERY = HeldSlot("recovery", {"name": "recovery", "recipient": "age1", "escrow": ""}, bytes(32))


@pytest.fixture
def escrow() -> FakeEscrow:
    return FakeEscrow()


def storage(house: House, escrow: FakeEscrow, *, recovery: bool = True) -> Storage:
    beside = (lambda: RECOVERY) if recovery else None
    return replace(house.storage(), custody=slot(escrow, house.seal_key), beside=beside)


def provisioner(kept: Storage, house: House, before: tuple[Hook, ...] = ()) -> Provisioner:
    committer = replace(house.committer(FakeEngine(), before=before), storage=kept)
    return Provisioner(committer, Policy.AUTO, "0:1", allow_unmounted=True)


def moved(house: House, escrow: FakeEscrow) -> SlotShop:
    """A node that began with a key file and opens by the *escrow* now; its key file's slot is there still."""
    shop = SlotShop(house, FakeEngine())
    shop.order(Act.ADD, "chip", new=EscrowSecret(escrow).hold("chip"), proved=True)
    turned(shop, storage(house, escrow))
    return shop


def turned(shop: SlotShop, kept: Storage) -> None:
    """Started anew, with another KLEIDI_SLOT."""
    shop.storage = kept
    workshop = replace(shop.operations.workshop, storage=kept)
    shop.operations = replace(shop.operations, workshop=workshop)
    shop.slot_changes = replace(shop.slot_changes, operations=shop.operations)


def test_a_first_boot_writes_no_key_file_and_opens_by_itself(house: House, escrow: FakeEscrow) -> None:
    kept = storage(house, escrow)
    opened = provisioner(kept, house).run().opened
    assert [slot.kind for slot in opened.header.slots] == ["tpm", "recovery"]
    assert sorted(path.name for path in house.etc.iterdir()) == ["anchor.json", "seal.key.used"]
    assert kept.open().payload == opened.payload
    assert kept.protection(opened.header) == "tpm"


@pytest.mark.parametrize("away", [faults.SEAL_KEY_MISSING, faults.SLOT_WRONG])
def test_a_first_boot_waits_for_what_is_away(house: House, escrow: FakeEscrow, away: faults.Fault) -> None:
    escrow.away = away
    run = provisioner(storage(house, escrow), house).run
    assert refused(run) is away
    assert not any(house.volume.glob("*.seal"))
    escrow.away = None
    assert run().opened.header.generation == 1


def test_a_chip_alone_makes_no_first_key(house: House, escrow: FakeEscrow) -> None:
    alone = storage(house, escrow, recovery=False)
    assert refused(provisioner(alone, house).run) is faults.SLOT_ALONE
    assert not any(house.volume.glob("*.seal"))
    # A bundle that is written ahead of it is a way back, too.
    bundles: list[object] = []

    def keep(*made: object) -> None:
        bundles.append(made)

    assert provisioner(alone, house, before=(keep,)).run().opened.header.generation == 1
    assert bundles


def test_what_outlives_the_machine_may_be_alone(house: House) -> None:
    assert provisioner(storage(house, FakeEscrow("transit"), recovery=False), house).run().born


def test_away_it_is_told_by_its_own_reason_and_another_slot_opens(house: House, escrow: FakeEscrow) -> None:
    kept = moved(house, escrow).storage
    escrow.away = faults.VOLUME_READ_ONLY  # any that is nobody else's here
    assert refused(kept.open) is faults.VOLUME_READ_ONLY
    assert kept.open([house.storage().custody.load()]).header.generation == 2
    escrow.away = None
    assert kept.open().header.generation == 2


def test_once_it_is_known_to_be_away_it_is_not_asked_for_the_next_slot(escrow: FakeEscrow) -> None:
    secret = EscrowSecret(escrow)
    held = secret.hold("one")
    asked = 0

    def release(_values: object) -> bytes:
        nonlocal asked
        asked += 1
        raise faults.KleidiError(faults.SEAL_KEY_MISSING)

    escrow.release = release  # type: ignore[method-assign, assignment]
    assert [refused(lambda: secret.recall(held.values)) for _ in range(3)] == [faults.SEAL_KEY_MISSING] * 3
    assert asked == 1


def test_a_slot_of_another_machine_does_not_hide_its_own(house: House, escrow: FakeEscrow) -> None:
    shop = SlotShop(house, FakeEngine())
    for name, made in (("other", FakeEscrow()), ("own", escrow)):
        shop.order(Act.ADD, name, new=EscrowSecret(made).hold(name), proved=True)
    turned(shop, storage(house, escrow))
    assert shop.storage.open().header.generation == 3
    turned(shop, storage(house, FakeEscrow()))
    assert refused(shop.storage.open) is faults.SLOT_WRONG


def test_changes_ask_nobody_while_it_serves(house: House, escrow: FakeEscrow) -> None:
    shop = moved(house, escrow)
    opened = shop.storage.open()
    escrow.away, asked = faults.SEAL_KEY_MISSING, escrow.released
    assert shop.storage.open(opened.payload.slots).payload == opened.payload
    assert escrow.released == asked


def test_a_key_file_that_opens_it_as_well_is_all_that_somebody_needs(
    house: House, escrow: FakeEscrow
) -> None:
    shop = moved(house, escrow)
    assert shop.storage.open().protection in ("same-disk", "memory")
    shop.order(Act.ADD, "paper", new=RECOVERY, proved=True)
    shop.order(Act.REMOVE, "file")
    assert shop.storage.open().protection == "tpm"


def test_never_down_to_the_chip_alone(house: House, escrow: FakeEscrow) -> None:
    shop = moved(house, escrow)
    for force in (False, True):
        assert shop.denied(Act.REMOVE, "file", force=force, reason="why") is faults.SLOT_ALONE
    recovery = shop.add_recovery("paper")
    assert shop.denied(Act.REMOVE, "file") is faults.SLOT_ALONE  # not tested yet
    shop.prove("paper", recovery)
    assert shop.denied(Act.REMOVE, "chip") is faults.SLOT_IN_USE
    shop.order(Act.REMOVE, "file")
    assert shop.denied(Act.REMOVE, "paper") is faults.SLOT_ALONE


def test_a_slot_made_anew_keeps_name_and_place_and_the_old_one_opens_nothing(
    house: House, escrow: FakeEscrow
) -> None:
    shop = moved(house, escrow)
    old = next(held for held in shop.storage.open().payload.slots if held.kind == "tpm")
    new = EscrowSecret(escrow).hold("chip")
    shop.order(Act.RENEW, "chip", new=new, proved=True)
    assert shop.names() == ["file", "chip"]
    assert shop.storage.volume.older(1 << 30) == [3]
    assert shop.opened_with(EscrowSecret(escrow), "chip")
    (slots,) = [shop.storage.header(shop.storage.sealed()).slots]
    assert old.unwrap(slots[1], Header(shop.keyset.lineage, 3).context) is None


@pytest.mark.parametrize(
    ("name", "kind", "fault"), [("none", "tpm", faults.SLOT_NO_SUCH), ("file", "tpm", faults.SLOT_NAME)]
)
def test_only_a_slot_of_its_kind_is_made_anew(
    house: House, escrow: FakeEscrow, name: str, kind: str, fault: faults.Fault
) -> None:
    shop = moved(house, escrow)
    new = replace(EscrowSecret(escrow).hold(name), kind=kind)
    assert shop.denied(Act.RENEW, name, new=new, proved=True) is fault


def test_a_list_asks_nobody(house: House, escrow: FakeEscrow) -> None:
    shop = moved(house, escrow)
    escrow.away = faults.SEAL_KEY_MISSING
    assert [(row.kind, row.configured) for row in rows(shop.storage)] == [("file", False), ("tpm", True)]


def test_a_rehearsal_of_a_new_one_makes_nothing(house: House, escrow: FakeEscrow) -> None:
    opening = Opening(lambda _asked: escrow)
    asked = Asked(house.volume, house.seal_key)
    escrow.deposit = lambda _key: pytest.fail("it made something")  # type: ignore[method-assign, assignment]
    assert opening.add(asked, "chip", dry_run=True)[1] is None
    escrow.away = faults.SEAL_KEY_MISSING
    assert refused(lambda: opening.add(asked, "chip", dry_run=True)) is faults.SEAL_KEY_MISSING


def test_a_bundle_comes_back_under_this_machines_own_slots(
    house: House, escrow: FakeEscrow, tmp_path: Path
) -> None:
    opened = provisioner(storage(house, escrow), house).run().opened
    other, elsewhere = FakeEscrow(), House(tmp_path / "other", house.memory).build()
    kept = storage(elsewhere, other)
    committer = Committer(kept, house.committer(FakeEngine()).engines, house.memory)
    engine = committer.engines["softhsm"]
    assert isinstance(engine, FakeEngine)
    _restored(Restorer(committer, allow_unmounted=True, by="0:1"), opened)
    assert [held.kind for held in kept.open().payload.slots] == ["tpm", "recovery"]
    assert refused(storage(elsewhere, escrow).open) is faults.SLOT_WRONG


def _restored(restorer: Restorer, opened: Opened) -> None:
    payload = Payload.from_bytes(opened.payload.to_bytes())
    restorer.run(opened.header, payload, source="test", dry_run=False)


class Heard:
    """A keeper, as far as the watch needs one."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.told: dict[faults.Fault, str] = {}

    def opened(self) -> Opened:
        return self._opened

    def remark(self, fault: faults.Fault, detail: str = "") -> None:
        self.told[fault] = detail

    def withdraw(self, fault: faults.Fault) -> None:
        self.told.pop(fault, None)


def test_the_watch_looks_often_tries_seldom_and_tells(house: House, escrow: FakeEscrow) -> None:
    kept = moved(house, escrow).storage
    heard, asked = Heard(kept.open()), escrow.released
    watch = SealKeyWatch(heard, kept)  # type: ignore[arg-type]
    asyncio.run(watch.look())
    assert (heard.told, escrow.released) == ({}, asked + 1)
    asyncio.run(watch.look())
    assert (heard.told, escrow.released) == ({}, asked + 1)
    escrow.away = faults.SEAL_KEY_MISSING
    asyncio.run(watch.look())
    assert "E-SEAL-KEY-MISSING" in heard.told[faults.SEAL_KEY_GONE]
    escrow.away = None
    asyncio.run(watch.look())
    assert heard.told == {}
    # Another chip, as after a change of the board.
    stranger = replace(kept, custody=slot(FakeEscrow(), house.seal_key))
    asyncio.run(SealKeyWatch(heard, stranger).look())  # type: ignore[arg-type]
    assert faults.SEAL_KEY_GONE in heard.told
