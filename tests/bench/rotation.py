"""What a change of keys costs those who call meanwhile, and what a thousand keys cost to load and to find."""

import contextlib
import json
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import SOFTHSM
from appliance.volume import memory
from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.bench.filled import fill, newest
from tests.rig import Appliance

MANY = (1, 100, 1000)
_CALLERS = 8
_AIM_MILLISECONDS = 50


@dataclass(frozen=True)
class Cost:
    """In milliseconds. *stage* loads a changed token, *promote* only turns to another of its keys."""

    keys: int
    load: float
    find: float
    stage: float
    promote: float
    slowest: float
    usual: float
    failed: int


def table(root: Path) -> list[str]:
    rows = [
        "keys    load ms   find one us   pause ms: stage   promote   slowest call ms (p50)   failed   aim"
    ]
    for count in MANY:
        cost = _cost(root / f"keys-{count}", count)
        rows.append(
            f"{cost.keys:6,} {cost.load:8.1f} {cost.find * 1000:12.0f} {cost.stage:15.1f}"
            f" {cost.promote:11.1f} {cost.slowest:14.1f} ({cost.usual:.2f}) {cost.failed:9}"
            f"   pause < {_AIM_MILLISECONDS}, failed 0"
        )
    return rows


def _cost(root: Path, count: int) -> Cost:
    with Appliance(root, log_format="json") as appliance:
        appliance.start()
        appliance.wait_ready()
        appliance.stop()
        if count > 1:
            fill(appliance, count)
        load, find = _measure(appliance)
        appliance.start()
        appliance.wait_ready(120)
        with _callers(appliance) as (times, failures):
            for verb in (("stage",), ("promote", f"v{count + 1}")):
                time.sleep(0.5)
                done = appliance.run("key", *verb)
                assert done.returncode == 0, done.stderr
            time.sleep(0.5)
        lines = [json.loads(line) for line in appliance.log().splitlines() if line.startswith("{")]
        stage, promote = (line["ms"] for line in lines if line["msg"] == "switched")
        return Cost(
            count, load, find, stage, promote, max(times) * 1e3, statistics.median(times) * 1e3, len(failures)
        )


@contextlib.contextmanager
def _callers(appliance: Appliance) -> Iterator[tuple[list[float], list[grpc.RpcError]]]:
    times: list[float] = []
    failures: list[grpc.RpcError] = []
    enough = threading.Event()

    def call() -> None:
        with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
            stub = api_pb2_grpc.KeyManagementServiceStub(channel)
            while not enough.wait(0.005):
                started = time.perf_counter()
                try:
                    stub.Encrypt(api_pb2.EncryptRequest(plaintext=b"x" * 32, uid="bench"), timeout=3)
                except grpc.RpcError as error:
                    failures.append(error)
                times.append(time.perf_counter() - started)

    threads = [threading.Thread(target=call) for _ in range(_CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield times, failures
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def _measure(appliance: Appliance) -> tuple[float, float]:
    """Milliseconds to load the newest generation's token, and to use one of its keys for the first time."""
    payload = newest(appliance)
    engine, keys = SoftHsmEngine(), payload.keyset.keys
    with memory.room(appliance.memory / "bench") as scratch:
        started = time.perf_counter()
        engine.open(scratch, payload.state(SOFTHSM))
        loaded = time.perf_counter()
        for key in keys:
            engine.wrap(key.object_id, b"x" * 32, b"aad")
        found = time.perf_counter()
        engine.close()
    return (loaded - started) * 1e3, (found - loaded) * 1e3 / len(keys)
