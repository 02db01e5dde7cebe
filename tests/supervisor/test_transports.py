"""Which library carries the calls, in the real programs: the one that was asked for, and no other."""

from pathlib import Path

import pytest

from appliance import faults
from appliance.service.transports import GRPCIO, NGHTTP2
from tests.rig import Appliance
from tests.service.client import connected
from tests.unit.test_nghttp2_library import made

_LIBRARIES = {NGHTTP2: "libnghttp2", GRPCIO: "cygrpc"}


@pytest.mark.parametrize("transport", [NGHTTP2, GRPCIO])
def test_the_server_serves_by_the_transport_that_is_set_and_loads_no_other(
    tmp_path: Path, transport: str
) -> None:
    with Appliance(tmp_path, transport=transport) as appliance:
        appliance.start()
        appliance.wait_ready()
        with connected(appliance.socket) as client:
            assert client.open(client.encrypt(b"seed")) == b"seed"
        assert appliance.run("status").returncode == 0
        mapped = Path(f"/proc/{appliance.pid('kms')}/maps").read_text()
    assert {name for name, library in _LIBRARIES.items() if library in mapped} == {transport}


@pytest.mark.parametrize("library", ["none", "another", "old"])
def test_without_the_library_serving_ends_with_one_line(tmp_path: Path, library: str) -> None:
    place = tmp_path / "libnghttp2.so.14"
    fault = faults.TRANSPORT_MISSING
    if library == "none":
        place.write_bytes(b"")
    elif library == "another":
        made(place, 0x012B00, "1.43.0", function="another")
    else:
        made(place, 0x012B00, "1.43.0")
        fault = faults.TRANSPORT_OLD
    done = Appliance(tmp_path).run("serve", env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).splitlines()
    assert fault.id in line
