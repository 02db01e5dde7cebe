"""From a secret to a slot's key, and from what is public of it back again."""

import secrets
from collections.abc import Mapping

import pytest

from appliance import faults
from appliance.age import free_memory
from appliance.age.key_pairs import Identities
from appliance.slots import recovery
from appliance.slots.passphrase import COST, Passphrase
from appliance.slots.recovery import Recovery
from tests.slots.shop import PHRASE
from tests.volume.house import refused

MIB = 1 << 20


def test_a_passphrase_gives_the_same_key_from_the_public_values_alone() -> None:
    held = Passphrase(PHRASE).hold("mine")
    assert Passphrase(PHRASE).recall(held.values) == held
    assert Passphrase(PHRASE + "!").recall(held.values).wrapping_key != held.wrapping_key
    assert Passphrase(PHRASE).hold("mine").values["salt"] != held.values["salt"]


def test_a_key_derivation_fits_a_small_pod() -> None:
    assert 128 * COST["n"] * COST["r"] * COST["p"] == 64 * MIB


def test_golden_the_derivation_never_changes() -> None:
    values = {"name": "g", "salt": "00" * 16, "n": "65536", "r": "8", "p": "1"}
    key = Passphrase(PHRASE).recall(values).wrapping_key
    assert key.hex() == "c94673107d439978c56060526d50e5cea14ca55fe969ff7e4368bdd2e1ab8894"


@pytest.mark.parametrize("text", ["", "short", "x" * 11])
def test_a_short_passphrase_is_none(text: str) -> None:
    assert refused(lambda: Passphrase(text).hold("mine")) is faults.SLOT_SECRET


def test_too_little_memory_is_noticed_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Passphrase(PHRASE).hold("mine")
    monkeypatch.setattr(free_memory, "bytes_left", lambda: 64 * MIB - 1)
    assert refused(lambda: Passphrase(PHRASE).hold("mine")) is faults.SLOT_MEMORY
    assert refused(lambda: Passphrase(PHRASE).recall(held.values)) is faults.SLOT_MEMORY


@pytest.mark.parametrize(
    "change",
    [
        {"n": "0"},
        {"n": "1"},
        {"n": "-2"},
        {"n": "65535"},
        {"n": str(1 << 40)},
        {"n": "many"},
        {"r": "0"},
        {"r": "100000"},
        {"p": "0"},
        {"p": "100000"},
        {"salt": "no hex"},
    ],
)
def test_a_header_cannot_talk_us_into_anything(change: Mapping[str, str]) -> None:
    values = {"name": "g", "salt": "00" * 16, "n": "65536", "r": "8", "p": "1", **change}
    assert refused(lambda: Passphrase(PHRASE).recall(values)) is faults.SEAL_CORRUPT
    lacking = {name: value for name, value in values.items() if name not in change}
    assert refused(lambda: Passphrase(PHRASE).recall(lacking)) is faults.SEAL_CORRUPT


def test_an_identity_gives_the_key_that_its_recipient_was_given() -> None:
    identities = Identities.generate()
    held = recovery.hold("safe", identities.recipients.names[0])
    assert Recovery(identities).recall(held.values) == held
    assert refused(lambda: Recovery(Identities.generate()).recall(held.values)) is faults.SLOT_WRONG


@pytest.mark.parametrize("escrow", ["", "!", "bm9uZSBvZiBhZ2Uncw=="])
def test_a_damaged_escrow_is_damaged(escrow: str) -> None:
    values = {"name": "safe", "escrow": escrow}
    assert refused(lambda: Recovery(Identities.generate()).recall(values)) is faults.SEAL_CORRUPT
    assert refused(lambda: Recovery(Identities.generate()).recall({})) is faults.SEAL_CORRUPT


def test_what_is_no_recipient_gets_no_slot() -> None:
    assert refused(lambda: recovery.hold("safe", "nobody")) is faults.BACKUP_RECIPIENT


def test_no_secret_is_in_a_representation() -> None:
    phrase, identities = Passphrase(secrets.token_hex(16)), Identities.generate()
    assert phrase.text not in repr(phrase)
    assert identities.secrets[0] not in repr(Recovery(identities)) + repr(identities)
    held = phrase.hold("mine")
    assert held.wrapping_key.hex() not in repr(held)
    assert repr(held.wrapping_key) not in repr(held)
