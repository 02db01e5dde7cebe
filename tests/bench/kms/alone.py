"""The ciphers by themselves, in this process: SoftHSM as our engine drives it, and `cryptography`."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import SOFTHSM
from appliance.keys.envelope import NONCE_SIZE, associated_data
from appliance.volume import memory
from appliance.volume.payload import Payload
from tests.bench.caller import Told
from tests.bench.kms.case import CIPHERS, Case, Sample

_AAD = associated_data("kleidi/bench")


@dataclass(frozen=True)
class Ciphers:
    """So many keys, by name, and what is done with them."""

    keys: Sequence[str]
    encrypt: Callable[[str, bytes], bytes]
    decrypt: Callable[[str, bytes], bytes]


class Alone:
    """A side: one caller, no wire."""

    def __init__(self, name: str, ciphers: Callable[[int], Ciphers]) -> None:
        self.name = name
        self._ciphers = ciphers

    def does(self, case: Case) -> bool:
        return case.method in CIPHERS and case.callers == 1

    def measure(self, case: Case, seconds: float) -> Sample:
        ciphers, plaintext = self._ciphers(case.keys), os.urandom(case.size)
        if case.method == "Encrypt":
            return _timed(lambda _: ciphers.encrypt(ciphers.keys[-1], plaintext), seconds)
        stored = [(key, ciphers.encrypt(key, plaintext)) for key in ciphers.keys]
        return _timed(lambda number: ciphers.decrypt(*stored[number % len(stored)]), seconds)


class SoftHsm:
    """Tokens by their number of keys, one open at a time: the module's state is the process's."""

    def __init__(self, payloads: Mapping[int, Payload], place: Path) -> None:
        self._payloads = payloads
        self._place = place
        self._engine = SoftHsmEngine()
        self._opened = contextlib.ExitStack()
        self._keys = 0

    def ciphers(self, keys: int) -> Ciphers:
        payload = self._payloads[keys]
        if self._keys != keys:
            self.close()
            room = self._opened.enter_context(memory.room(self._place))
            self._opened.callback(self._engine.close)
            self._engine.open(room, payload.state(SOFTHSM))
            self._keys = keys
        return Ciphers(
            [key.object_id for key in payload.keyset.keys],
            lambda key, plaintext: self._engine.wrap(key, plaintext, _AAD),
            lambda key, body: self._engine.unwrap(key, body, _AAD),
        )

    def close(self) -> None:
        self._opened.close()
        self._keys = 0


def library(keys: int) -> Ciphers:
    ciphers = {str(number): AESGCM(os.urandom(32)) for number in range(keys)}

    def encrypt(key: str, plaintext: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        return nonce + ciphers[key].encrypt(nonce, plaintext, _AAD)

    def decrypt(key: str, body: bytes) -> bytes:
        return ciphers[key].decrypt(body[:NONCE_SIZE], body[NONCE_SIZE:], _AAD)

    return Ciphers(list(ciphers), encrypt, decrypt)


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
