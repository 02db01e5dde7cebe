"""The ciphers by themselves, in this process: SoftHSM as our engine drives it, and `cryptography`."""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import SOFTHSM
from appliance.keys.envelope import NONCE_SIZE, associated_data
from appliance.volume.payload import Payload
from tests.bench.caller import Told
from tests.bench.kms.case import CIPHERS, Case, Sample

_AAD = associated_data("kleidi/bench")


class Alone:
    """A side: one caller, no wire. *encrypt* and *decrypt* take a key's name and bytes."""

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        encrypt: Callable[[str, bytes], bytes],
        decrypt: Callable[[str, bytes], bytes],
    ) -> None:
        self.name = name
        self._keys = keys
        self._encrypt, self._decrypt = encrypt, decrypt

    def does(self, case: Case) -> bool:
        return case.method in CIPHERS and case.callers == 1

    def measure(self, case: Case, seconds: float) -> Sample:
        plaintext = os.urandom(case.size)
        if case.method == "Encrypt":
            return _timed(lambda _: self._encrypt(self._keys[-1], plaintext), seconds)
        stored = [(key, self._encrypt(key, plaintext)) for key in self._keys[-case.keys :]]
        return _timed(lambda number: self._decrypt(*stored[number % len(stored)]), seconds)


def softhsm(payload: Payload, room: Path) -> tuple[Alone, Callable[[], None]]:
    """*payload*'s token, open in *room*; and what closes it."""
    engine = SoftHsmEngine()
    engine.open(room, payload.state(SOFTHSM))
    keys = [key.object_id for key in payload.keyset.keys]
    side = Alone(
        "SoftHSM alone",
        keys,
        lambda key, plaintext: engine.wrap(key, plaintext, _AAD),
        lambda key, body: engine.unwrap(key, body, _AAD),
    )
    return side, engine.close


def library(keys: int) -> Alone:
    ciphers = {str(number): AESGCM(os.urandom(32)) for number in range(keys)}

    def encrypt(key: str, plaintext: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        return nonce + ciphers[key].encrypt(nonce, plaintext, _AAD)

    def decrypt(key: str, body: bytes) -> bytes:
        return ciphers[key].decrypt(body[:NONCE_SIZE], body[NONCE_SIZE:], _AAD)

    return Alone("cryptography alone", list(ciphers), encrypt, decrypt)


def _timed(work: Callable[[int], object], seconds: float) -> Sample:
    lengths: list[float] = []
    began, cpu = time.perf_counter(), time.thread_time()
    before = began
    for number in itertools.count():
        work(number)
        after = time.perf_counter()
        lengths.append((after - before) * 1e6)
        if after - began >= seconds:
            break
        before = after
    spent, micros = (time.thread_time() - cpu) * 1e6, sorted(lengths)
    p50, p90, p99 = (micros[len(micros) * share // 100] for share in (50, 90, 99))
    told = Told(len(micros), 0, {}, "", after - began, p50, p90, p99, micros[-1], 0, [])
    return Sample(told, spent / len(micros))
