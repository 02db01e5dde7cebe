"""What a change of keys costs those who call meanwhile, and what a thousand keys cost to load and to find."""

import contextlib
import json
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from appliance.engines.softhsm import SoftHsmEngine, forge
from appliance.engines.softhsm.image import TokenImage
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.volume import memory
from appliance.volume.custody import Custody
from appliance.volume.generations import Volume
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, seal, unseal
from proto.kmsv2 import api_pb2, api_pb2_grpc
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
        load, find = _fill(appliance, count) if count > 1 else _measure(appliance)
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


def _newest(appliance: Appliance) -> tuple[Header, Payload, Volume]:
    volume = Volume(appliance.volume)
    key = Custody("volume", appliance.volume / "seal.key").load()
    header, content = unseal(volume.read(volume.survey().newest), [key])
    return header, Payload.from_bytes(content), volume


def _fill(appliance: Appliance, count: int) -> tuple[float, float]:
    """Give the volume a generation of *count* keys, the last of them the primary one."""
    header, payload, volume = _newest(appliance)
    image = TokenImage.from_state(payload.state(SOFTHSM))
    ids = [secrets.token_hex(16) for _ in range(count - 1)]
    with memory.room(appliance.memory / "bench") as scratch:
        tokens = scratch / "fill"
        memory.lay_out(image.files, tokens)
        order = {"generate": [{"object_id": each, "label": "kleidi"} for each in ids], "destroy": []}
        answer = forge._forge(None, tokens, image, order)  # noqa: SLF001  one process for all of them
        state_of_all = replace(image, files=memory.collect(tokens)).to_state()
    keys = [replace(payload.keyset.primary, state=KeyState.RETIRED)]
    for version, each in enumerate(ids, 2):
        state = KeyState.PRIMARY if version == count else KeyState.RETIRED
        made = forge.made(image, each, bytes.fromhex(answer["ciphertexts"][each]))
        keys.append(Key.born(header.lineage, version, state, made))
    filled = replace(payload, keyset=KeySet(header.lineage, tuple(keys)), engines={SOFTHSM: state_of_all})
    sealed = seal(Header(header.lineage, header.generation + 1), filled.to_bytes(), filled.slots)
    with volume.lock():
        volume.commit(header.generation + 1, sealed)
    return _measure(appliance)


def _measure(appliance: Appliance) -> tuple[float, float]:
    """Milliseconds to load the newest generation's token, and to use one of its keys for the first time."""
    _, payload, _ = _newest(appliance)
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
