"""KLEIDI_HTTP of a server: what it does about an address that is not free."""

import socket

import pytest

from appliance import faults
from appliance.endpoint import loopback
from tests.health.test_loopback import free
from tests.health.test_loopback import get as asked
from tests.service.conftest import Start
from tests.service.scene import Scene


def test_a_port_that_is_taken_is_told_and_tried_again(
    scene: Scene, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.service.server._LOOK_SECONDS", 0.05)
    address = free("127.0.0.1", socket.AF_INET)
    with socket.create_server(loopback(address)):
        running = start(http=address)
        running.wait_for("DEGRADED", faults.HTTP_ADDRESS.id)
        assert address in running.report().reason
        assert scene.health.is_socket()
    running.wait_for("OPERATIONAL")
    assert asked(address, "/readyz") == (200, "ok\n")
    running.stop()
    with pytest.raises(ConnectionRefusedError):
        asked(address, "/livez")
