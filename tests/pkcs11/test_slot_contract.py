"""The contract of every kind of slot, kept by `hsm`: two fakes are two devices, with a key pair each."""

from pathlib import Path

import pytest

from appliance.pkcs11 import module_file
from appliance.slots.escrow import EscrowSecret
from appliance.slots.hsm import HsmEscrow
from tests.pkcs11 import fake_token, places
from tests.pkcs11.fake_token import FakeToken
from tests.slots.test_contract import (  # noqa: F401  collected here as well, with the `way` below
    Way,
    test_another_of_its_kind_never_opens_it,
    test_every_slot_has_a_key_of_its_own,
    test_it_opens_a_sealed_file_from_its_header_alone,
    test_its_values_are_text_and_do_not_hold_the_key,
    test_the_next_generation_asks_nobody,
    test_what_is_public_gives_the_same_key_again,
    test_whatever_stands_in_a_header_ends_in_words,
)


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    devices = {name: FakeToken() for name in ("own.so", "other.so")}
    monkeypatch.setattr(module_file, "load", lambda options: devices[options.module.name].functions)
    pin = places.pin_file(tmp_path, fake_token.PIN.decode())
    own, other = (
        EscrowSecret(HsmEscrow(places.options(tmp_path / name, fake_token.LABEL, pin), "kleidi-slot"))
        for name in devices
    )
    other.hold()
    return Way(own, other, own.hold, lambda: devices["own.so"].calls["C_Decrypt"])
