"""Ways into the seal come and go; the keys never notice."""

from pathlib import Path

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.faults import Fault, KleidiError
from appliance.ops.operations import Verb
from appliance.ops.slots import Act
from appliance.slots.passphrase import Passphrase
from appliance.slots.recovery import Recovery
from appliance.volume.audit import AuditLog
from appliance.volume.custody import Custody
from appliance.volume.seal import unseal
from tests.slots.shop import PHRASE, Secret, SlotShop
from tests.volume.house import UNTOLD, let_no_end_be_logged, refused


def test_every_kind_opens_by_itself_and_goes_on_doing_so(real_shop: SlotShop, tmp_path: Path) -> None:
    shop = real_shop
    before = shop.wrap()
    ways: dict[str, Secret] = {
        "passphrase": shop.add_passphrase(),
        "recovery": shop.add_recovery(),
        "second": shop.add_file(tmp_path / "second.key"),
    }
    assert shop.names() == ["file", *ways]
    # A rotation asks for no secret and keeps every slot.
    shop.run(Verb.ROTATE)
    for name, secret in ways.items():
        assert shop.opened_with(secret, name) == shop.storage.open().payload
    assert shop.opens(before, shop.wrap())
    assert shop.audit.verify() == 2 * 6


def test_a_new_seal_key_leaves_the_keys_alone(real_shop: SlotShop, tmp_path: Path) -> None:
    shop = real_shop
    before, announced = shop.keyset, shop.wrap()
    pins = shop.storage.open().payload.engines
    old = shop.house.seal_key.read_bytes()
    shop.add_file(tmp_path / "new.key", "new")
    (tmp_path / "new.key").replace(shop.house.seal_key)
    assert shop.row("new").configured
    shop.order(Act.REMOVE, "file")
    assert shop.keyset == before
    assert shop.storage.open().payload.engines == pins
    assert shop.opens(announced)
    # Nothing on the volume opens with the old key any more.
    (tmp_path / "old.key").write_bytes(old)
    old_key = Custody("file", tmp_path / "old.key").load()
    for path in shop.house.volume.glob("generation-*"):
        assert refused(lambda path=path: unseal(path.read_bytes(), [old_key])) is faults.SEAL_KEY_WRONG  # type: ignore[misc]
    assert len(shop.generations) == 1


def test_a_slot_is_told_with_what_is_public_of_it(shop: SlotShop) -> None:
    shop.add_passphrase("mine")
    first, second = shop.row("file"), shop.row("mine")
    assert (first.kind, first.configured, first.tested) == ("file", True, 0)
    assert (second.kind, second.configured, second.tested) == ("passphrase", False, shop.clocks.unix)
    assert not {"wrapped", "nonce"} & {*first.values, *second.values}


def test_a_recipient_alone_is_not_tested_and_does_not_count(shop: SlotShop) -> None:
    secret = shop.add_recovery()
    assert shop.row("recovery").tested == 0
    assert shop.denied(Act.REMOVE, "file", force=True) is faults.SLOT_LAST
    shop.prove("recovery", secret)
    assert shop.row("recovery").tested == shop.clocks.unix
    shop.order(Act.REMOVE, "file", force=True)
    assert shop.names() == ["recovery"]


def test_the_last_tested_slot_stays_whatever_is_said(shop: SlotShop) -> None:
    assert shop.denied(Act.REMOVE, "file", force=True) is faults.SLOT_LAST
    shop.add_recovery()
    assert shop.denied(Act.REMOVE, "file", force=True) is faults.SLOT_LAST
    shop.order(Act.REMOVE, "recovery")


def test_the_configured_slot_stays_unless_it_is_meant(shop: SlotShop, tmp_path: Path) -> None:
    shop.add_passphrase()
    shop.add_file(tmp_path / "second.key")
    assert shop.denied(Act.REMOVE, "file") is faults.SLOT_IN_USE
    # Nor does it go because its key file is away for a moment.
    shop.house.seal_key.rename(tmp_path / "away")
    held = shop.storage.open([Custody("file", tmp_path / "away").load()])
    from appliance.ops.slots import Order  # noqa: PLC0415

    fault = refused(lambda: shop.slot_changes.run(held, Order(Act.REMOVE, "file", by="0:1")))
    assert fault is faults.SLOT_IN_USE
    (tmp_path / "away").rename(shop.house.seal_key)
    shop.order(Act.REMOVE, "file", force=True, reason="meant")
    assert "meant" in shop.audit.path.read_text()


def test_a_wrong_secret_proves_nothing(shop: SlotShop) -> None:
    shop.add_passphrase()
    shop.add_recovery()
    values = shop.row("passphrase").values
    wrong = Passphrase(PHRASE + "?").recall(values).wrapping_key
    assert shop.denied(Act.TEST, "passphrase", key=wrong) is faults.SLOT_WRONG
    stranger = Recovery(Identities.generate())
    assert refused(lambda: shop.prove("recovery", stranger)) is faults.SLOT_WRONG
    assert shop.denied(Act.TEST, "nobody", key=wrong) is faults.SLOT_NO_SUCH
    assert shop.denied(Act.REMOVE, "nobody") is faults.SLOT_NO_SUCH


@pytest.mark.parametrize("name", ["file", "", "-", "Mine", "two words", "x" * 33, "../x"])
def test_a_name_is_one_and_taken_once(shop: SlotShop, name: str) -> None:
    new = Passphrase(PHRASE).hold(name)
    assert shop.denied(Act.ADD, name, new=new, proved=True) is faults.SLOT_NAME


def test_a_dry_run_changes_nothing(shop: SlotShop) -> None:
    before = shop.house.snapshot()
    shop.order(Act.ADD, "mine", new=Passphrase(PHRASE).hold("mine"), proved=True, dry_run=True)
    assert shop.house.snapshot() == before
    shop.add_passphrase()
    before = shop.house.snapshot()
    shop.order(Act.REMOVE, "passphrase", dry_run=True)
    assert shop.house.snapshot() == before


@pytest.mark.parametrize("fails", [faults.AUDIT_FAILED, faults.VOLUME_UNREADABLE], ids=lambda fault: fault.id)
def test_who_opens_by_hand_is_not_kept_out_by_a_log_that_cannot_be_written(
    shop: SlotShop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: Fault
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise KleidiError(fails)

    monkeypatch.setattr(AuditLog, "append", refuse)
    with shop.storage.volume.lock():
        shop.slot_changes.unsealed(shop.storage.open(), "passphrase", "0:1")
    assert "unseal without a line in the audit log" in caplog.text


@pytest.mark.parametrize("act", [Act.TEST, Act.REMOVE])
def test_it_is_done_when_only_its_last_line_cannot_be_written(
    shop: SlotShop, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    secret = shop.add_passphrase()
    key = secret.recall(shop.row("passphrase").values).wrapping_key
    let_no_end_be_logged(monkeypatch)
    assert shop.order(act, "passphrase", key=key).said[-1] == UNTOLD
    assert shop.generations[-1] == 3


def test_each_change_is_one_generation_written_down_twice(shop: SlotShop) -> None:
    shop.add_passphrase()
    assert shop.generations[-1] == 2
    shop.order(Act.REMOVE, "passphrase")
    assert shop.generations == [3]
    assert shop.audit.verify() == 6
    assert PHRASE not in shop.audit.path.read_text()
