"""The appliance inside its own pod's memory limit, which a real cgroup keeps, while a client misbehaves."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import grpc
import pytest

from appliance import hardening
from appliance.service import limits
from proto.kmsv2 import api_pb2 as pb
from tests.abuse.good import SEED, Good
from tests.cgroup import MemoryGroup, limit_of_the_pod
from tests.http2 import PREFACE
from tests.rig import Appliance
from tests.service.client import connected
from tests.service.hostile import Hostile, hostile

_MIB = 1 << 20
_ATTACK_SECONDS = 4.0
_TURN_SECONDS = 0.5

Attack = Callable[[Path], Coroutine[None, None, None]]


@pytest.fixture(scope="module")
def group() -> Iterator[MemoryGroup]:
    with MemoryGroup(limit_of_the_pod()) as group:
        yield group


@pytest.fixture(scope="module")
def appliance(group: MemoryGroup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    hardening.allow_many_files()  # both ends of the connections are ours
    with Appliance(tmp_path_factory.mktemp("pod")) as appliance:
        appliance.runner = group.runner
        appliance.start()
        appliance.wait_ready()
        yield appliance


def half_sent(connections: int, calls: int, size: int, metadata: int = 0) -> Attack:
    """Calls that announce *size* bytes and send all but the last; for each one refused comes another."""

    async def attack(path: Path) -> None:
        more = [("x-much", "m" * metadata)] if metadata else []
        async with contextlib.AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(hostile(path)) for _ in range(connections)]
            await asyncio.gather(*(_insist(peer, calls, size, *more) for peer in peers))

    return attack


async def _insist(peer: Hostile, calls: int, size: int, *more: tuple[str, str]) -> None:
    until = time.monotonic() + _ATTACK_SECONDS
    while time.monotonic() < until and not peer.closed:
        peer.call(calls - peer.under_way, size, *more)
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_TURN_SECONDS):
                await peer.pour(size - 1)


def bombs(callers: int) -> Attack:
    """Fifteen megabytes of zeros, compressed to some kilobytes, again and again."""

    def one(path: Path) -> None:
        request = pb.EncryptRequest(plaintext=bytes(15 * _MIB)).SerializeToString()
        until = time.monotonic() + _ATTACK_SECONDS
        with connected(path) as client:
            while time.monotonic() < until:
                with pytest.raises(grpc.RpcError):
                    client.send("Encrypt", request, grpc.Compression.Gzip)

    async def attack(path: Path) -> None:
        await asyncio.gather(*(asyncio.to_thread(one, path) for _ in range(callers)))

    return attack


def idle(connections: int) -> Attack:
    """Connections that say nothing behind their greeting."""

    async def attack(path: Path) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(connections):
                peer = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                peer.connect(str(path))
                peer.sendall(PREFACE)
            await asyncio.sleep(_ATTACK_SECONDS)

    return attack


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(half_sent(40, 1, 15 * _MIB), id="forty bodies of fifteen megabytes"),
        pytest.param(bombs(8), id="zeros in gzip"),
        pytest.param(half_sent(16, 256, limits.MESSAGE), id="four thousand half-sent requests"),
        pytest.param(half_sent(16, 256, 1000, 7 * 1024), id="four thousand with much metadata"),
        pytest.param(idle(1000), id="a thousand idle connections"),
    ],
)
def test_a_client_that_wants_much_gets_nobody_killed(
    appliance: Appliance, group: MemoryGroup, attack: Attack
) -> None:
    before = appliance.pid("kms")
    with Good(appliance.socket) as good:
        asyncio.run(attack(appliance.socket))
    assert good.failures == []
    assert good.seconds, "nobody else was served"
    slow = 1000 * sorted(good.seconds)[len(good.seconds) * 99 // 100]
    used = f"memory at most {group.peak / _MIB:.0f} MiB so far"
    print(f"{used}, Status p99 {slow:.0f} ms, {good.crowded_out} crowded out")
    with connected(appliance.socket) as client:
        assert client.open(client.encrypt(SEED)) == SEED
    assert group.kills == 0
    assert appliance.pid("kms") == before
    # Of the limit a quarter is left: it counts the page cache and the sockets' buffers as well.
    assert group.peak < limit_of_the_pod() * 3 // 4
