"""One caller's Encrypt and Decrypt beside an empty handler of the same server, in turns."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.bench.beside import METHOD
from tests.rig import Appliance

_WARM_UP = 300


@contextlib.contextmanager
def _server(root: Path) -> Iterator[grpc.Channel]:
    with Appliance(root / "latency") as appliance:
        appliance.start()
        appliance.wait_ready()
        appliance.stop()
        # Log lines go to a file, as they go to a pipe in the container: they are part of the price.
        with (root / "latency.log").open("wb") as log:
            command = [sys.executable, "-m", "tests.bench.beside"]
            server = subprocess.Popen(command, env=appliance.environment, stderr=log)
        try:
            with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
                grpc.channel_ready_future(channel).result(30)
                _wait_ok(channel)
                yield channel
        finally:
            server.terminate()
            server.wait(20)


def _wait_ok(channel: grpc.Channel) -> None:
    stub = api_pb2_grpc.KeyManagementServiceStub(channel)
    while True:
        with contextlib.suppress(grpc.RpcError):
            if stub.Status(api_pb2.StatusRequest()).healthz == "ok":
                return
        time.sleep(0.05)


def table(root: Path, calls: int) -> list[str]:
    with _server(root) as channel:
        stub = api_pb2_grpc.KeyManagementServiceStub(channel)
        empty: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        plaintext = os.urandom(32)
        wrapped = stub.Encrypt(api_pb2.EncryptRequest(plaintext=plaintext, uid="bench"))
        unwrap = api_pb2.DecryptRequest(ciphertext=wrapped.ciphertext, key_id=wrapped.key_id, uid="bench")
        timings = _in_turns(
            {
                "empty handler": lambda: empty(b""),
                "Status": lambda: stub.Status(api_pb2.StatusRequest()),
                "Encrypt": lambda: stub.Encrypt(api_pb2.EncryptRequest(plaintext=plaintext, uid="bench")),
                "Decrypt": lambda: stub.Decrypt(unwrap),
            },
            calls,
        )
    base = timings["empty handler"]
    rows = [
        f"latency, one caller, {calls} calls each in turns      p50 us   p99 us   p50 ratio   p99 ratio   aim"
    ]
    for name, times in timings.items():
        ratios = [_percentile(times, share) / _percentile(base, share) for share in (50, 99)]
        aim = "<= 1.5" if name in ("Encrypt", "Decrypt") else ""
        rows.append(
            f"  {name:44} {_percentile(times, 50):8.0f} {_percentile(times, 99):8.0f}"
            f" {ratios[0]:10.2f}x {ratios[1]:10.2f}x   {aim}"
        )
    return rows


def _in_turns(works: dict[str, Callable[[], object]], calls: int) -> dict[str, list[float]]:
    timings: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(_WARM_UP + calls):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            spent = time.perf_counter() - started
            if turn >= _WARM_UP:
                timings[name].append(spent * 1e6)
    return timings


def _percentile(times: list[float], share: int) -> float:
    return sorted(times)[len(times) * share // 100]
