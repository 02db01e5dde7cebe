"""The slot contract, kept by a real Transit server."""

from pathlib import Path

import pytest

from appliance import faults
from appliance.slots.escrow import EscrowSecret
from appliance.slots.transit import TransitEscrow
from appliance.volume.seal import seal, unseal
from tests.slots.test_contract import (
    HEADER,
    Way,
    test_every_slot_has_a_key_of_its_own,
    test_it_opens_a_sealed_file_from_its_header_alone,
    test_its_values_are_text_and_do_not_hold_the_key,
    test_the_next_generation_asks_nobody,
    test_what_is_public_gives_the_same_key_again,
    test_whatever_stands_in_a_header_ends_in_words,
)
from tests.transit.conftest import MakeEngine, Site, beside
from tests.transit.openbao import single
from tests.volume.house import refused

__all__ = [
    "test_every_slot_has_a_key_of_its_own",
    "test_it_opens_a_sealed_file_from_its_header_alone",
    "test_its_values_are_text_and_do_not_hold_the_key",
    "test_the_next_generation_asks_nobody",
    "test_what_is_public_gives_the_same_key_again",
    "test_whatever_stands_in_a_header_ends_in_words",
]


@pytest.fixture
def way(site: Site) -> Way:
    own = EscrowSecret(TransitEscrow(site.access))
    return Way(own, own, own.hold)


def test_another_server_or_another_right_never_opens_it(
    way: Way, site: Site, tmp_path: Path, make_engine: MakeEngine
) -> None:
    held = way.hold("mine")
    sealed = seal(HEADER, b"payload", [held])
    (tmp_path / "neighbour").mkdir()
    neighbour = beside(site.server, tmp_path / "neighbour", make_engine)
    denied = EscrowSecret(TransitEscrow(neighbour.access))
    assert refused(lambda: unseal(sealed, [denied])) is faults.SLOT_TRANSIT_AWAY
    with single(tmp_path / "other", site.server.authority) as server:
        (tmp_path / "there").mkdir()
        there = beside(server, tmp_path / "there", make_engine)
        server.create_key(site.key)
        there.token(server.root)
        other = EscrowSecret(TransitEscrow(there.access))
        assert refused(lambda: unseal(sealed, [other])) is faults.TRANSIT_KEY_OTHER
        # It hinders no other way.
        assert unseal(sealed, [other, held])[1] == b"payload"
