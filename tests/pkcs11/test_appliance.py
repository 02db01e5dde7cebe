"""The appliance whose seal a hardware module opens, with NSS in the device's place.

SoftHSM cannot stand in for it here: the engine's own copy reads the same configuration in the same process.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pyrage
import pytest

from softhsm.pkcs11 import pair
from softhsm.pkcs11.key_pairs import KeyPairs
from tests.pkcs11 import places
from tests.pkcs11.places import Place
from tests.rig import Appliance
from tests.service.running import until


@pytest.fixture
def device(tmp_path: Path) -> Place:
    return places.nss(tmp_path)


def settings(place: Place, root: Path, slot: str = "hsm") -> dict[str, Any]:
    options = place.options
    assert options is not None
    return {
        "slot": slot,
        # The mark of use is beside it, whatever opens.
        "seal_key_file": str(root / "etc" / "seal.key"),
        "pkcs11_module": str(options.module),
        "pkcs11_token": f"label={options.label}",
        "pkcs11_pin_file": str(options.pin_file),
        "pkcs11_parameters": options.parameters,
    }


@pytest.fixture
def appliance(tmp_path: Path, device: Place) -> Iterator[Appliance]:
    with Appliance(tmp_path, **settings(device, tmp_path)) as appliance:
        yield appliance


@pytest.fixture
def ready(device: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device has a key pair already: NSS looks for the primes of a longer one for up to half a minute."""
    monkeypatch.setattr(pair, "_SIZES", (2048,))
    opened = device.device()
    KeyPairs(opened).make("kleidi-slot")
    opened.close()


def printed(appliance: Appliance, *arguments: str) -> Any:  # noqa: ANN401  a document
    return json.loads(appliance.run(*arguments, "-o", "json").stdout)


def test_it_begins_and_begins_again_by_the_device(appliance: Appliance, tmp_path: Path) -> None:
    appliance.start()
    key_id = appliance.wait_ready(120)
    assert "made a key pair in the device" in appliance.log()
    assert [slot["kind"] for slot in printed(appliance, "slot", "list")["slots"]] == ["hsm"]
    assert printed(appliance, "status")["protection"] == "hsm"
    assert not (tmp_path / "etc" / "seal.key").exists()
    appliance.reboot()
    assert appliance.wait_ready() == key_id
    assert appliance.log().count("made a key pair in the device") == 1


@pytest.mark.usefixtures("ready")
def test_a_device_that_is_away_is_told_and_waited_for(appliance: Appliance, tmp_path: Path) -> None:
    appliance.start()
    key_id = appliance.wait_ready(120)
    (tmp_path / "nss").rename(tmp_path / "away")
    assert appliance.status().healthz == "ok"
    appliance.stop()
    appliance.start()
    until(lambda: "E-SLOT-HSM-AWAY" in appliance.run("status").stdout, "the device is told to be away")
    with pytest.raises(grpc.RpcError, match="E-SLOT-HSM-AWAY"):
        appliance.status()
    assert printed(appliance, "status")["state"] == "SEALED"
    (tmp_path / "away").rename(tmp_path / "nss")
    assert appliance.wait_ready() == key_id


@pytest.mark.usefixtures("ready")
def test_a_node_moves_from_its_key_file_to_the_device_and_back(device: Place, tmp_path: Path) -> None:
    with Appliance(tmp_path, **settings(device, tmp_path, "file")) as before:
        before.start()
        key_id = before.wait_ready()
        assert before.run("slot", "add", "--kind", "hsm").returncode == 0
        assert before.run("slot", "test", "hsm").returncode == 0
    with Appliance(tmp_path, **settings(device, tmp_path)) as node:
        node.start()
        assert node.wait_ready() == key_id
        assert printed(node, "status")["protection"] != "hsm"  # the key file opens it as well
        assert node.run("slot", "remove", "file").returncode == 0
        assert printed(node, "status")["protection"] == "hsm"
        assert node.run("slot", "renew", "hsm").returncode == 0
        node.reboot()
        assert node.wait_ready() == key_id
        seal_key = str(tmp_path / "etc" / "seal.key")
        assert node.run("slot", "add", "--kind", "file", "--key-file", seal_key).returncode == 0
    with Appliance(tmp_path, **settings(device, tmp_path, "file")) as after:
        after.start()
        assert after.wait_ready() == key_id


@pytest.mark.usefixtures("ready")
def test_a_wrong_pin_seals_it_until_the_file_is_written_anew(appliance: Appliance, device: Place) -> None:
    appliance.start()
    key_id = appliance.wait_ready()
    appliance.stop()
    assert device.options is not None
    path = device.options.pin_file
    assert path is not None
    pin = path.read_text()
    written(path, "not the PIN\n")
    appliance.start()
    until(lambda: "E-PKCS11-PIN" in appliance.run("status").stdout, "the PIN is refused")
    assert printed(appliance, "status")["state"] == "SEALED"
    written(path, pin)
    assert appliance.wait_ready() == key_id


def written(path: Path, text: str) -> None:
    path.chmod(0o600)
    path.write_text(text)
    path.chmod(0o400)


@pytest.mark.usefixtures("ready")
def test_a_backup_comes_back_on_another_node_of_the_device(
    appliance: Appliance, device: Place, tmp_path: Path
) -> None:
    identity, bundle, other = pyrage.x25519.Identity.generate(), tmp_path / "bundle.age", tmp_path / "other"
    (tmp_path / "identity").write_text(f"{identity}\n")
    (tmp_path / "identity").chmod(0o600)
    appliance.start()
    key_id = appliance.wait_ready()
    made = appliance.run("backup", "create", str(bundle), "--to", str(identity.to_public()))
    assert made.returncode == 0, made.stderr
    (other / "volume").mkdir(parents=True)
    (other / "etc").mkdir()
    with Appliance(other, **{**settings(device, other), "provision": "join"}) as node:
        restored = node.run("backup", "restore", str(bundle), "--identity", str(tmp_path / "identity"))
        assert restored.returncode == 0, restored.stderr
        node.start()
        assert node.wait_ready() == key_id
        assert [slot["kind"] for slot in printed(node, "slot", "list")["slots"]] == ["hsm"]
