"""What counting costs each call: observers with and without it, and a call from its bytes to its answer."""

import asyncio
import statistics
import time
from collections.abc import Callable
from functools import partial

from appliance import faults
from appliance.service.rpc.calls import Answering
from appliance.telemetry import Called, Counts, Event, Observer, Observers
from proto.kmsv2 import api_pb2 as pb

_MANY = 20_000
_REQUEST = pb.EncryptRequest(plaintext=b"seed", uid="4711").SerializeToString()
_REPLY = pb.EncryptResponse(ciphertext=b"sealed", key_id="kleidi/0123456789ab/v1/0123456789ab")
_WELL = Called("Encrypt", 0.0003, "4711", "kleidi/0123456789ab/v1/0123456789ab", rpc="Encrypt")
_REFUSED = Called("Decrypt", 0.0003, "4711", fault=faults.KEY_UNKNOWN, rpc="Decrypt")
AIM_NS = 1000


class _Deaf:
    """Another observer, as the log is one."""

    def observe(self, event: Event) -> None: ...


class _Given:
    async def read(self) -> bytes:
        return _REQUEST

    def remaining(self) -> float | None:
        return None

    def caller(self) -> str:
        return ""


def table(rounds: int) -> list[str]:
    rows = [f"{'counting, ns of CPU a call, medians':44} {'without':>8} {'with':>8} {'more':>8}   aim"]
    return [
        *rows,
        _row("an answered call, told", rounds, partial(_telling, _WELL)),
        _row("a refused call, told", rounds, partial(_telling, _REFUSED)),
        _row("a call from its bytes to its answer", rounds, _answering),
    ]


def _row(name: str, rounds: int, measure: Callable[[Observer], float]) -> str:
    pairs = [(measure(Observers((_Deaf(),))), measure(Observers((_Deaf(), Counts())))) for _ in range(rounds)]
    without, counted = (statistics.median(each) for each in zip(*pairs, strict=True))
    more = statistics.median(one - other for other, one in pairs)
    return f"  {name:42} {without:8,.0f} {counted:8,.0f} {more:8,.0f}   <= {AIM_NS:,} more"


def _telling(told: Event, observer: Observer) -> float:
    observe = observer.observe
    started = time.thread_time_ns()
    for _ in range(_MANY):
        observe(told)
    return (time.thread_time_ns() - started) / _MANY


def _answering(observer: Observer) -> float:
    answering = Answering("Encrypt", pb.EncryptRequest, _encrypt, observer, 1024)

    async def calls() -> float:
        started = time.thread_time_ns()
        for number in range(_MANY):
            await answering.answer(_Given())
            if number % 64 == 0:
                await asyncio.sleep(0)  # what went well is told behind the answer
        await asyncio.sleep(0)
        return (time.thread_time_ns() - started) / _MANY

    return asyncio.run(calls())


async def _encrypt(_request: pb.EncryptRequest) -> pb.EncryptResponse:
    return _REPLY
