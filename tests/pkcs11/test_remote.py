"""A module behind p11-kit's server: what reaches it, and what becomes of a server that was started again.

Whatever its age: one before 0.25 lets its client see no AES-GCM, and all else.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.pkcs11.check import check
from softhsm.pkcs11 import device as devices
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import Pkcs11Error
from tests.pkcs11 import places
from tests.pkcs11.conftest import hides_gcm
from tests.pkcs11.places import Place, Server


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[tuple[Place, Server]]:
    with places.served(tmp_path) as served:
        yield served


def test_a_client_that_hides_gcm_is_told_as_such(remote: tuple[Place, Server]) -> None:
    place, _ = remote
    assert place.options is not None
    hidden = hides_gcm(place)
    found = check(place.options)
    assert [each.id for each in found.findings] == ([faults.PKCS11_NO_GCM.id] if hidden else [])
    # Of RSA it hides nothing.
    assert found.serves == (["slot"] if hidden else ["engine", "slot"])


def test_a_server_that_was_started_again_costs_no_call(
    remote: tuple[Place, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, server = remote
    device = _searching(place, monkeypatch)
    assert device.run(lambda _, session: session.find()) == []
    server.stop()
    server.start()
    assert device.run(lambda _, session: session.find()) == []
    device.close()


def test_a_server_that_is_away_is_told_and_found_again(
    remote: tuple[Place, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, server = remote
    device = _searching(place, monkeypatch)
    assert device.run(lambda _, session: session.find()) == []
    server.stop()
    for _ in range(2):
        with pytest.raises(Pkcs11Error):
            device.run(lambda _, session: session.find())
    server.start()
    assert device.run(lambda _, session: session.find()) == []
    device.close()


def _searching(place: Place, monkeypatch: pytest.MonkeyPatch) -> Device:
    """It tries again at once."""
    monkeypatch.setattr(devices, "_PAUSES", (0,))
    return place.device()
