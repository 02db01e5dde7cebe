"""Ways into the seal come and go; the keys never notice."""

from pathlib import Path

import pytest

from appliance import faults
from appliance.backup.age import Identities
from appliance.ops.operations import Verb
from appliance.slots.locksmith import Act
from appliance.slots.passphrase import Passphrase
from appliance.slots.recovery import Recovery
from appliance.volume.custody import Custody
from appliance.volume.seal import unseal
from tests.slots.smithy import PHRASE, Secret, Smithy
from tests.volume.house import refused


def test_every_kind_opens_by_itself_and_goes_on_doing_so(real_smithy: Smithy, tmp_path: Path) -> None:
    smithy = real_smithy
    before = smithy.wrap()
    ways: dict[str, Secret] = {
        "passphrase": smithy.add_passphrase(),
        "recovery": smithy.add_recovery(),
        "second": smithy.add_file(tmp_path / "second.key"),
    }
    assert smithy.names() == ["file", *ways]
    # A rotation asks for no secret and keeps every slot.
    smithy.run(Verb.ROTATE)
    for name, secret in ways.items():
        assert smithy.opened_with(secret, name) == smithy.storage.open().payload
    assert smithy.opens(before, smithy.wrap())
    assert smithy.audit.verify() == 2 * 5


def test_a_new_seal_key_leaves_the_keys_alone(real_smithy: Smithy, tmp_path: Path) -> None:
    smithy = real_smithy
    before, announced = smithy.keyset, smithy.wrap()
    pins = smithy.storage.open().payload.token
    old = smithy.house.seal_key.read_bytes()
    smithy.add_file(tmp_path / "new.key", "new")
    (tmp_path / "new.key").replace(smithy.house.seal_key)
    assert smithy.row("new").configured
    smithy.order(Act.REMOVE, "file")
    assert smithy.keyset == before
    assert smithy.storage.open().payload.token == pins
    assert smithy.opens(announced)
    # Nothing on the volume opens with the old key any more.
    (tmp_path / "old.key").write_bytes(old)
    old_key = Custody("file", tmp_path / "old.key").load()
    for path in smithy.house.volume.glob("generation-*"):
        assert refused(lambda path=path: unseal(path.read_bytes(), [old_key])) is faults.SEAL_KEY_WRONG  # type: ignore[misc]
    assert len(smithy.generations) == 1


def test_a_slot_is_told_with_what_is_public_of_it(smithy: Smithy) -> None:
    smithy.add_passphrase("mine")
    first, second = smithy.row("file"), smithy.row("mine")
    assert (first.kind, first.configured, first.tested) == ("file", True, 0)
    assert (second.kind, second.configured, second.tested) == ("passphrase", False, smithy.clocks.unix)
    assert not {"wrapped", "nonce"} & {*first.values, *second.values}


def test_a_recipient_alone_is_not_tested_and_does_not_count(smithy: Smithy) -> None:
    secret = smithy.add_recovery()
    assert smithy.row("recovery").tested == 0
    assert smithy.denied(Act.REMOVE, "file", force=True) is faults.SLOT_LAST
    smithy.prove("recovery", secret)
    assert smithy.row("recovery").tested == smithy.clocks.unix
    smithy.order(Act.REMOVE, "file", force=True)
    assert smithy.names() == ["recovery"]


def test_the_last_tested_slot_stays_whatever_is_said(smithy: Smithy) -> None:
    assert smithy.denied(Act.REMOVE, "file", force=True) is faults.SLOT_LAST
    smithy.add_recovery()
    assert smithy.denied(Act.REMOVE, "file", force=True) is faults.SLOT_LAST
    smithy.order(Act.REMOVE, "recovery")


def test_the_configured_slot_stays_unless_it_is_meant(smithy: Smithy, tmp_path: Path) -> None:
    smithy.add_passphrase()
    smithy.add_file(tmp_path / "second.key")
    assert smithy.denied(Act.REMOVE, "file") is faults.SLOT_IN_USE
    # Nor does it go because its key file is away for a moment.
    smithy.house.seal_key.rename(tmp_path / "away")
    held = smithy.storage.open([Custody("file", tmp_path / "away").load()])
    from appliance.slots.locksmith import Order  # noqa: PLC0415

    fault = refused(lambda: smithy.locksmith.run(held, Order(Act.REMOVE, "file")))
    assert fault is faults.SLOT_IN_USE
    (tmp_path / "away").rename(smithy.house.seal_key)
    smithy.order(Act.REMOVE, "file", force=True, reason="meant")
    assert "meant" in smithy.audit.path.read_text()


def test_a_wrong_secret_proves_nothing(smithy: Smithy) -> None:
    smithy.add_passphrase()
    smithy.add_recovery()
    values = smithy.row("passphrase").values
    wrong = Passphrase(PHRASE + "?").recall(values).wrapping_key
    assert smithy.denied(Act.TEST, "passphrase", key=wrong) is faults.SLOT_WRONG
    stranger = Recovery(Identities.generate())
    assert refused(lambda: smithy.prove("recovery", stranger)) is faults.SLOT_WRONG
    assert smithy.denied(Act.TEST, "nobody", key=wrong) is faults.SLOT_NO_SUCH
    assert smithy.denied(Act.REMOVE, "nobody") is faults.SLOT_NO_SUCH


@pytest.mark.parametrize("name", ["file", "", "-", "Mine", "two words", "x" * 33, "../x"])
def test_a_name_is_one_and_taken_once(smithy: Smithy, name: str) -> None:
    new = Passphrase(PHRASE).hold(name)
    assert smithy.denied(Act.ADD, name, new=new, proved=True) is faults.SLOT_NAME


def test_a_dry_run_changes_nothing(smithy: Smithy) -> None:
    before = smithy.house.snapshot()
    smithy.order(Act.ADD, "mine", new=Passphrase(PHRASE).hold("mine"), proved=True, dry_run=True)
    assert smithy.house.snapshot() == before
    smithy.add_passphrase()
    before = smithy.house.snapshot()
    smithy.order(Act.REMOVE, "passphrase", dry_run=True)
    assert smithy.house.snapshot() == before


def test_each_change_is_one_generation_written_down_twice(smithy: Smithy) -> None:
    smithy.add_passphrase()
    assert smithy.generations[-1] == 2
    smithy.order(Act.REMOVE, "passphrase")
    assert smithy.generations == [3]
    assert smithy.audit.verify() == 4
    assert PHRASE not in smithy.audit.path.read_text()
