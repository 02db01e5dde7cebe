"""Keys change under the real programs with the real token, and somebody is killed in the middle of it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance.patience import eventually
from tests.rig import BIN, Appliance

SECRET = b"thirty-two bytes of a seed, here"
CALLS = 1000


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with Appliance(tmp_path) as appliance:
        appliance.start()
        appliance.wait_ready()
        yield appliance


def stub(channel: grpc.Channel) -> api_pb2_grpc.KeyManagementServiceStub:
    return api_pb2_grpc.KeyManagementServiceStub(channel)


def encrypted(appliance: Appliance) -> api_pb2.EncryptResponse:
    with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
        return stub(channel).Encrypt(api_pb2.EncryptRequest(plaintext=SECRET), timeout=10)


def opens(appliance: Appliance, wrapped: api_pb2.EncryptResponse) -> bool:
    request = api_pb2.DecryptRequest(ciphertext=wrapped.ciphertext, key_id=wrapped.key_id)
    with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
        return bool(stub(channel).Decrypt(request, timeout=10).plaintext == SECRET)


def keys(appliance: Appliance) -> dict[str, str]:
    done = appliance.run("key", "list", "-o", "json")
    assert done.returncode == 0, done.stderr
    return {row["key_id"]: row["state"] for row in json.loads(done.stdout)["keys"]}


def test_a_thousand_calls_around_a_rotation_agree_and_none_fails(appliance: Appliance) -> None:
    pairs: list[tuple[str, str]] = []
    errors: list[BaseException] = []
    enough = threading.Event()

    def ask() -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        try:
            with grpc.insecure_channel(f"unix:{appliance.socket}", options=options) as channel:
                while not enough.is_set() or len(pairs) < CALLS:
                    told = stub(channel).Status(api_pb2.StatusRequest(), timeout=10)
                    assert told.healthz == "ok"
                    wrapped = stub(channel).Encrypt(api_pb2.EncryptRequest(plaintext=SECRET), timeout=10)
                    pairs.append((told.key_id, wrapped.key_id))
        except BaseException as error:  # noqa: BLE001  told by the test's own thread
            errors.append(error)

    first, before = appliance.wait_ready(), encrypted(appliance)
    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    done = appliance.run("key", "rotate")
    enough.set()
    for caller in callers:
        caller.join()
    assert done.returncode == 0, done.stderr
    assert not errors
    second = appliance.wait_ready()
    assert set(pairs) <= {(first, first), (first, second), (second, second)}
    assert len([pair for pair in pairs if pair == (first, second)]) <= len(callers)
    assert opens(appliance, before)


def begun(appliance: Appliance) -> bool:
    """Whether a rotation has written its first line."""
    return '"op": "stage"' in (appliance.volume / "audit.jsonl").read_text()


def test_a_command_killed_in_the_middle_still_ends_in_a_whole_rotation(appliance: Appliance) -> None:
    before = encrypted(appliance)
    command = subprocess.Popen(
        [str(BIN / "kleidi"), "key", "rotate"], env=appliance.environment, stdout=subprocess.DEVNULL
    )
    eventually(lambda: begun(appliance), within=60, explain=appliance.log)
    command.kill()
    command.wait()
    eventually(lambda: sorted(keys(appliance).values()) == ["primary", "retired"], within=60)
    assert opens(appliance, before)
    assert appliance.run("audit", "verify").returncode == 0


@pytest.mark.parametrize("moment", ["begun", "committed"])
def test_a_server_killed_in_the_middle_comes_back_with_what_was_committed(
    appliance: Appliance, moment: str
) -> None:
    before = encrypted(appliance)
    seen: dict[str, Callable[[Appliance], bool]] = {
        "begun": begun,
        "committed": lambda appliance: (appliance.volume / "generation-00000002.seal").exists(),
    }
    server = appliance.pid("kms")
    command = subprocess.Popen(
        [str(BIN / "kleidi"), "key", "rotate"],
        env=appliance.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not seen[moment](appliance):
        assert command.poll() is None, "it ended before it could be disturbed"
    os.kill(server, signal.SIGKILL)
    command.wait()
    eventually(lambda: appliance.pid("kms") not in (0, server), within=60, explain=appliance.log)
    appliance.wait_ready()
    assert opens(appliance, before)
    done = appliance.run("key", "rotate")
    assert done.returncode == 0, done.stderr
    assert list(keys(appliance).values()).count("primary") == 1
    assert keys(appliance)[before.key_id] == "retired"
    assert opens(appliance, before)
    assert opens(appliance, encrypted(appliance))
    assert appliance.run("audit", "verify").returncode == 0
    assert list(appliance.admin.parent.glob(".*")) == []  # of the killed one nothing is left


def test_without_a_server_the_command_does_it_itself(appliance: Appliance) -> None:
    before = encrypted(appliance)
    assert appliance.stop() == 0
    done = appliance.run("key", "rotate", "-o", "json")
    assert done.returncode == 0, done.stderr
    changed = json.loads(done.stdout)
    assert changed["key"]["state"] == "primary"
    appliance.start()
    assert appliance.wait_ready() == changed["key"]["key_id"]
    assert opens(appliance, before)
