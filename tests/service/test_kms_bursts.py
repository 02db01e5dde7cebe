"""More calls at once than anybody sends: valid ones are all answered, and nothing large is held."""

import contextlib
from pathlib import Path

import grpc
import pytest

from proto.kmsv2 import api_pb2 as pb
from tests.service.client import connected
from tests.service.conftest import Start
from tests.service.scene import Scene

SECRET = b"thirty-two bytes of a seed, here"
PATIENCE_SECONDS = 120.0
_MIB = 1 << 20


@pytest.mark.parametrize(("connections", "each"), [(1, 3000), (2, 1000), (10, 1000)])
def test_calls_by_the_thousand_at_once_on_each_connection_are_all_answered(
    scene: Scene, start: Start, connections: int, each: int
) -> None:
    scene.engine.waits = False
    start().wait_for("OPERATIONAL")
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(connected(scene.socket)) for _ in range(connections)]
        wrapped = callers[0].encrypt(SECRET)
        request = pb.DecryptRequest(ciphertext=wrapped.ciphertext, key_id=wrapped.key_id, uid="u")
        calls = [
            caller.stub.Decrypt.future(request, timeout=PATIENCE_SECONDS)
            for _ in range(each)
            for caller in callers
        ]
        assert {call.result().plaintext for call in calls} == {SECRET}


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_large_messages_are_refused_and_not_held(
    scene: Scene, start: Start, compression: grpc.Compression
) -> None:
    """Forty callers of fifteen megabytes took 700 of a pod that has 384; unpacked zeros took as much."""
    start().wait_for("OPERATIONAL")
    before = peak()
    with connected(scene.socket) as client:
        request = pb.EncryptRequest(plaintext=bytes(15 * _MIB)).SerializeToString()
        for _ in range(8):
            with pytest.raises(grpc.RpcError):
                client.send("Encrypt", request, compression)
        assert client.open(client.encrypt(SECRET)) == SECRET
    # The caller is in this process too, and holds a message and its packed form at a time.
    assert peak() - before < 8 * 15 * _MIB


def peak() -> int:
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024
