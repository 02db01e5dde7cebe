"""What every kind of slot owes, owed by the TPM's: the contract's own tests, with a chip for each."""

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.slots.escrow import EscrowSecret
from appliance.slots.tpm import TpmEscrow
from appliance.volume.seal import read_header, seal, unseal
from tests.slots.test_contract import (
    NEXT,
    Way,
    test_every_slot_has_a_key_of_its_own,
    test_it_opens_a_sealed_file_from_its_header_alone,
    test_its_values_are_text_and_do_not_hold_the_key,
    test_what_is_public_gives_the_same_key_again,
    test_whatever_stands_in_a_header_ends_in_words,
)
from tests.tpm.chip import Chip

# Run here with the `way` below.
__all__ = [
    "test_every_slot_has_a_key_of_its_own",
    "test_it_opens_a_sealed_file_from_its_header_alone",
    "test_its_values_are_text_and_do_not_hold_the_key",
    "test_what_is_public_gives_the_same_key_again",
    "test_whatever_stands_in_a_header_ends_in_words",
]


@pytest.fixture
def way(chip: Chip, other: Chip) -> Way:
    own = EscrowSecret(TpmEscrow(chip.path))
    return Way(own, EscrowSecret(TpmEscrow(other.path)), own.hold)


def test_the_next_generation_asks_nobody(chip: Chip, way: Way) -> None:
    held = way.hold("mine")
    chip.cut()
    second = seal(NEXT, b"newer", [held])
    assert unseal(second, [held])[1] == b"newer"
    chip.start()
    values = read_header(second).slots[0].values
    assert unseal(second, [way.own.recall(values)])[1] == b"newer"


def test_another_chip_never_opens_it(way: Way) -> None:
    with pytest.raises(KleidiError) as error:
        way.other.recall(way.hold("mine").values)
    assert error.value.fault is faults.TPM_OTHER
