"""A node whose seal opens by a Transit server: what happens to it while that is away, and who notices."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from appliance.slots.transit import TransitEscrow
from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance import patience
from tests.rig import CONFIG, Appliance
from tests.slots.shop import PHRASE
from tests.slots.test_unsealing import do, eventually, restart, standing
from tests.transit.node import admitted
from tests.transit.openbao import Node, single
from tests.usage.authority import Authority

SERVES, AWAY = ("OPERATIONAL", ""), ("SEALED", "E-SLOT-TRANSIT-AWAY")
NOTICED = ("DEGRADED", "E-SEAL-KEY-GONE")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("bao")
    with single(directory / "one", Authority(directory / "ca")) as node:
        yield node


@pytest.fixture
def unsealed(server: Node) -> Iterator[Node]:
    yield server
    back(server)


@pytest.fixture
def told(unsealed: Node, tmp_path: Path) -> dict[str, str]:
    """The settings of a node that opens by it and makes its keys in SoftHSM."""
    return {
        "slot": "transit",
        "seal_key_file": str(tmp_path / "etc" / "seal.key"),
        **admitted(unsealed, tmp_path / "login"),
    }


@pytest.fixture
def appliance(tmp_path: Path, told: dict[str, str]) -> Iterator[Appliance]:
    with Appliance(tmp_path, CONFIG, **told) as made:
        made.start()
        made.wait_ready()
        yield made


@pytest.fixture
def phrase(tmp_path: Path) -> str:
    path = tmp_path / "phrase"
    path.write_text(PHRASE)
    path.chmod(0o600)
    return str(path)


def back(server: Node) -> None:
    server.cont()
    server.unseal()
    server.wait_active()


def serves(appliance: Appliance, plaintext: bytes = b"seed" * 8) -> None:
    with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
        kms = api_pb2_grpc.KeyManagementServiceStub(channel)
        sealed = kms.Encrypt(api_pb2.EncryptRequest(plaintext=plaintext, uid="1"), timeout=3)
        request = api_pb2.DecryptRequest(ciphertext=sealed.ciphertext, key_id=sealed.key_id, uid="2")
        assert kms.Decrypt(request, timeout=3).plaintext == plaintext
    assert appliance.status().healthz == "ok"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value)


def slots(appliance: Appliance) -> dict[str, dict[str, object]]:
    return {each["name"]: each for each in json.loads(do(appliance, "slot", "list", "-o", "json"))["slots"]}


def test_a_first_boot_makes_no_seal_key(appliance: Appliance, tmp_path: Path) -> None:
    serves(appliance)
    assert not (tmp_path / "etc" / "seal.key").exists()
    assert json.loads(do(appliance, "status", "-o", "json"))["protection"] == "remote"
    [only] = slots(appliance).values()
    assert (only["kind"], only["configured"]) == ("transit", True)
    key_id = appliance.status().key_id
    appliance.reboot()
    assert appliance.wait_ready() == key_id


def test_a_first_boot_waits_for_it(tmp_path: Path, told: dict[str, str], server: Node) -> None:
    """And makes no key that nothing would open."""
    server.seal()
    with Appliance(tmp_path, CONFIG, **told) as appliance:
        appliance.start()
        eventually(appliance, *AWAY)
        assert not list(appliance.volume.glob("generation-*"))
        back(server)
        appliance.wait_ready()
        serves(appliance)
        assert [path.name for path in appliance.volume.glob("generation-*")] == ["generation-00000001.seal"]


def test_while_it_is_away_at_a_start_it_is_asked_until_it_is_back(
    appliance: Appliance, server: Node, phrase: str
) -> None:
    key_id = appliance.status().key_id
    server.seal()
    restart(appliance)
    eventually(appliance, *AWAY)
    said = refusal(appliance.status)
    assert "UNAVAILABLE" in said
    assert "E-SLOT-TRANSIT-AWAY" in said
    assert "E-TRANSIT-SEALED" in appliance.log()
    pid = appliance.pid("kms")
    back(server)
    eventually(appliance, *SERVES)
    assert appliance.pid("kms") == pid
    assert appliance.status().key_id == key_id
    do(appliance, "slot", "add", "--kind", "passphrase", "--passphrase-file", phrase)


@pytest.mark.parametrize("how", ["sealed", "hangs"])
def test_another_slot_opens_meanwhile(appliance: Appliance, server: Node, phrase: str, how: str) -> None:
    key_id = appliance.status().key_id
    do(appliance, "slot", "add", "--kind", "passphrase", "--passphrase-file", phrase)
    if how == "sealed":
        server.seal()
    else:
        server.stop()
    restart(appliance)
    eventually(appliance, *AWAY)
    refused = appliance.run("unseal", "--kind", "transit")
    assert refused.returncode == 3
    assert "E-SLOT-TRANSIT-AWAY" in refused.stderr
    do(appliance, "unseal", "--passphrase-file", phrase)
    assert appliance.status().key_id == key_id
    serves(appliance)
    back(server)
    restart(appliance)
    eventually(appliance, *SERVES)


def test_while_it_is_away_nobody_notices_but_who_looks(
    appliance: Appliance, server: Node, phrase: str
) -> None:
    """A change looks at once; else it is each minute. The next generation needs nobody."""
    server.seal()
    do(appliance, "slot", "add", "--kind", "passphrase", "--passphrase-file", phrase)
    eventually(appliance, *NOTICED)
    serves(appliance)
    refused = appliance.run("key", "rotate")
    assert (refused.returncode, "E-SLOT-TRANSIT-AWAY" in refused.stderr) == (5, True)
    do(appliance, "key", "rotate", "--force", "--reason", "the passphrase is tested")
    serves(appliance)
    back(server)
    do(appliance, "slot", "test", "passphrase", "--passphrase-file", phrase)
    eventually(appliance, *SERVES)
    key_id = appliance.status().key_id
    restart(appliance)
    assert appliance.wait_ready() == key_id


def test_a_key_that_is_gone_is_told_by_its_own_name(
    appliance: Appliance, server: Node, told: dict[str, str], phrase: str
) -> None:
    do(appliance, "slot", "add", "--kind", "passphrase", "--passphrase-file", phrase)
    server.rotate()
    server.configure_key(min_decryption_version=2)
    try:
        restart(appliance)
        patience.eventually(lambda: standing(appliance)[1] == "E-TRANSIT-KEY-OFF", within=30)
        do(appliance, "unseal", "--passphrase-file", phrase)
        serves(appliance)
        # What was made under an excluded version is made anew under the latest.
        do(appliance, "slot", "renew", "transit")
        assert str(dict(slots(appliance)["transit"]["values"])["escrow"]).startswith("vault:v2:")  # type: ignore[call-overload]
        restart(appliance)
        eventually(appliance, *SERVES)
    finally:
        server.configure_key(min_decryption_version=1)
    assert told["transit_key"] == "kleidi"


def test_the_same_server_may_hold_the_keys_too(tmp_path: Path, told: dict[str, str], server: Node) -> None:
    with Appliance(tmp_path, CONFIG, **told, engine="transit") as appliance:
        appliance.start()
        key_id = appliance.wait_ready()
        server.seal()
        restart(appliance)
        eventually(appliance, *AWAY)
        back(server)
        assert appliance.wait_ready() == key_id
        serves(appliance)


def test_nothing_secret_is_told(appliance: Appliance, told: dict[str, str], server: Node) -> None:
    server.seal()
    restart(appliance)
    eventually(appliance, *AWAY)
    back(server)
    eventually(appliance, *SERVES)
    values = slots(appliance)["transit"]["values"]
    assert isinstance(values, dict)
    secret_id = Path(told["transit_secret_id_file"]).read_text()
    [key] = [TransitEscrow.of(_Settings(told)).release(values)]
    processes = appliance.processes()
    seen = [Path(f"/proc/{pid}/{what}").read_bytes() for pid in processes for what in ("cmdline", "environ")]
    seen += [appliance.log().encode(), do(appliance, "status", "-o", "json").encode()]
    seen += [path.read_bytes() for path in appliance.volume.iterdir() if path.is_file()]
    for form in (secret_id.encode(), key, key.hex().encode()):
        assert not any(form in each for each in seen)


class _Settings:
    """What `of` reads, as the appliance has it."""

    def __init__(self, told: dict[str, str]) -> None:
        self._told = told

    def __getattr__(self, name: str) -> object:
        value = self._told.get(name)
        return Path(value) if value and name.endswith("_file") else value
