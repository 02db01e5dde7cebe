"""Moving from one appliance to another: two providers, the old one for reading."""

from collections.abc import Callable

import pytest

from tests.conformance.apiserver import RefusedError
from tests.conformance.encryption import Identity, Kms
from tests.conformance.stage import Stage
from tests.rig import Appliance


@pytest.fixture(scope="module")
def successor(make_appliance: Callable[..., Appliance]) -> Kms:
    appliance = make_appliance()
    appliance.start()
    appliance.wait_ready()
    return Kms("successor", appliance.socket)


def test_the_old_provider_in_second_place_is_read_and_no_longer_written(
    stage: Stage, kms: Kms, successor: Kms
) -> None:
    stage.apiserver(kms).create_secret("old", "value")
    both = stage.apiserver(successor, kms)

    assert both.secret("old") == "value"
    both.create_secret("new", "value")
    assert both.stored("new").startswith(successor.prefix)
    assert both.stored("old").startswith(kms.prefix)


def test_after_a_rewrite_the_old_provider_can_be_taken_away(stage: Stage, kms: Kms, successor: Kms) -> None:
    stage.apiserver(kms).create_secret("old", "value")
    both = stage.apiserver(successor, kms)
    # What a storage migration does: replace the object by itself.
    both.replace_secret("old", both.secret("old"))

    alone = stage.apiserver(successor)

    assert alone.secret("old") == "value"


def test_one_appliance_does_not_open_what_another_sealed(stage: Stage, kms: Kms, successor: Kms) -> None:
    stage.apiserver(kms).create_secret("old", "value")
    # The old provider's name, but the other appliance behind it: a socket path mixed up.
    impostor = stage.apiserver(Kms(kms.name, successor.socket), watch_cache=False)

    with pytest.raises(RefusedError, match="E-"):
        impostor.secret("old")
    impostor.create_secret("new", "value")
    assert impostor.secret("new") == "value"


def test_plaintext_from_before_stays_readable_until_it_is_rewritten(stage: Stage, kms: Kms) -> None:
    stage.apiserver(Identity()).create_secret("old", "value")
    server = stage.apiserver(kms, Identity())

    assert server.secret("old") == "value"
    server.replace_secret("old", "value")
    assert server.stored("old").startswith(kms.prefix)
    assert stage.apiserver(kms).secret("old") == "value"
