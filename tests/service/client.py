"""What a test says to the server, as the API server says it: one connection of its own each."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from proto.kmsv2 import api_pb2 as pb
from proto.kmsv2 import api_pb2_grpc

SERVICE = "/v2.KeyManagementService"
# Generous: a busy machine is no defect of ours.
PATIENCE_SECONDS = 30.0


class Client:
    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.stub = api_pb2_grpc.KeyManagementServiceStub(channel)

    def status(self) -> pb.StatusResponse:
        return self.stub.Status(pb.StatusRequest(), timeout=PATIENCE_SECONDS)

    def encrypt(
        self, plaintext: bytes, uid: str = "", timeout: float = PATIENCE_SECONDS
    ) -> pb.EncryptResponse:
        return self.stub.Encrypt(pb.EncryptRequest(plaintext=plaintext, uid=uid), timeout=timeout)

    def decrypt(self, key_id: str, ciphertext: bytes, uid: str = "") -> bytes:
        request = pb.DecryptRequest(key_id=key_id, ciphertext=ciphertext, uid=uid)
        return self.stub.Decrypt(request, timeout=PATIENCE_SECONDS).plaintext

    def open(self, wrapped: pb.EncryptResponse) -> bytes:
        return self.decrypt(wrapped.key_id, wrapped.ciphertext)

    def send(
        self, method: str, data: bytes, compression: grpc.Compression = grpc.Compression.NoCompression
    ) -> bytes:
        """Send bytes that no generated code would make, and take what comes."""
        call = self.channel.unary_unary(f"{SERVICE}/{method}", lambda data: data, lambda data: data)
        answer: bytes = call(data, timeout=PATIENCE_SECONDS, compression=compression)
        return answer


@contextlib.contextmanager
def connected(socket: Path, authority: str = "localhost") -> Iterator[Client]:
    # Without a pool of its own a channel would share the connection of another one to the same path.
    options = (("grpc.default_authority", authority), ("grpc.use_local_subchannel_pool", 1))
    with grpc.insecure_channel(f"unix:{socket}", options=options) as channel:
        yield Client(channel)


@dataclass(frozen=True)
class Refusal:
    code: grpc.StatusCode
    text: str


def refused(call: Callable[[], object]) -> Refusal:
    """How the server refused; an answer fails the test."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert isinstance(caught.value, grpc.Call)
    return Refusal(caught.value.code(), caught.value.details() or "")
