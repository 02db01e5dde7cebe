"""One list of kinds: what it says holds everywhere, and a row more is a kind everywhere."""

import re
from pathlib import Path

import pytest

from appliance import faults
from appliance.settings import Settings
from appliance.slots import BY_ITSELF, KINDS, Asked, asked_for
from appliance.volume.slot import KEY_SIZE
from tests.ops.shop import Node
from tests.slots.shop import PHRASE
from tests.volume.house import KLEIDI, House, refused


@pytest.fixture
def asked(house: House, tmp_path: Path) -> Asked:
    """All that can be given at once."""
    import pyrage  # noqa: PLC0415

    identity = pyrage.x25519.Identity.generate()
    return Asked(
        house.volume,
        house.seal_key,
        key_file=tmp_path / "some.key",
        passphrase=lambda _twice: PHRASE,
        identity=lambda: str(identity),
        recipient=str(identity.to_public()),
    )


# What keeps a slot's key elsewhere is at hand where its own tests are.
HERE = [name for name, kind in KINDS.items() if not kind.escrow]


@pytest.mark.parametrize("name", HERE)
def test_a_new_slot_of_any_kind_is_made_again_from_its_secret(asked: Asked, name: str) -> None:
    opening = KINDS[name].opening()
    new, secret = opening.add(asked, "mine", dry_run=False)
    assert (new.kind, new.values["name"], len(new.wrapping_key)) == (name, "mine", KEY_SIZE)
    assert secret is not None
    assert secret.kind == opening.secret(asked).kind == name
    assert opening.secret(asked).recall(new.values).wrapping_key == new.wrapping_key


@pytest.mark.parametrize("name", [name for name in HERE if name != "volume"])
def test_a_secret_that_was_not_given_is_named(house: House, name: str) -> None:
    nothing = Asked(house.volume, house.seal_key)
    fault = faults.BACKUP_RECIPIENT if name == "recovery" else faults.COMMAND_LINE
    assert refused(lambda: KINDS[name].opening().add(nothing, "mine", dry_run=False)) is fault
    assert not house.snapshot()


def test_unsealing_takes_one_way_at_a_time(asked: Asked, house: House) -> None:
    assert refused(lambda: asked_for(asked)) is faults.COMMAND_LINE
    assert refused(lambda: asked_for(Asked(house.volume, house.seal_key))) is faults.COMMAND_LINE
    assert asked_for(Asked(house.volume, house.seal_key, passphrase=lambda _twice: "")).name == "passphrase"


def test_the_setting_and_the_option_know_the_list(house: House) -> None:
    described = Settings.model_fields["slot"].description or ""
    assert re.findall(r"`(\w+)`", described) == [kind.name for kind in BY_ITSELF]
    node = Node(house.root, house.memory)
    offered = node.kleidi("slot", "add", "--kind", "no such")
    assert offered.returncode == 2
    assert all(name in offered.stderr for name in KINDS)
    refusal = node.run("env", "KLEIDI_SLOT=passphrase", *KLEIDI, "provision")
    assert "KLEIDI_SLOT" in refusal.stderr
    assert "file or volume" in refusal.stderr
