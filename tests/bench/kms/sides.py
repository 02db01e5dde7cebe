"""Who is measured: ours as it runs, under supervisord; the Go reference; our transport; the ciphers."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.bench.caller import SEED, Caller
from tests.bench.filled import encrypted, fill, newest
from tests.bench.kms import alone
from tests.bench.kms.case import LARGEST, MANY_KEYS, Case, Sample
from tests.bench.kms.reference import Reference
from tests.bench.processes import cpu
from tests.conformance.patience import eventually
from tests.rig import CHECKOUT, CONFIG, Appliance

REFERENCE = "Go reference"
EMPTY = "empty handler"
# Ours by what it is called, with KLEIDI_ settings by lower-case names without the prefix.
OURS: Mapping[str, Mapping[str, str]] = {"kleidi": {}, "kleidi, grpcio": {"transport": "grpcio"}}
_START_SECONDS = 60.0


class Side(Protocol):
    name: str

    def does(self, case: Case) -> bool: ...

    def measure(self, case: Case, seconds: float) -> Sample: ...


@dataclass(frozen=True)
class Plugin:
    """One server. *ciphertexts* are of all its keys, by the plaintext's size; *log* is kept short."""

    socket: Path
    pid: int
    supervisors: tuple[int, ...] = ()
    ciphertexts: Mapping[int, Path] = field(default_factory=dict)
    log: Path | None = None


class Wire:
    """A side that is called: a server for each number of keys, or one for all of them."""

    def __init__(
        self, name: str, caller: Caller, plugins: Mapping[int, Plugin], methods: Mapping[str, str]
    ) -> None:
        """*methods* are what is called for each that is asked for."""
        self.name = name
        self._caller = caller
        self._plugins = plugins
        self._methods = methods

    def does(self, case: Case) -> bool:
        return case.method in self._methods

    def measure(self, case: Case, seconds: float) -> Sample:
        plugin = self._plugins.get(case.keys) or self._plugins[1]
        if plugin.log is not None:
            os.truncate(plugin.log, 0)
        before = cpu([plugin.pid]), cpu(plugin.supervisors)
        told = self._caller.kms(
            plugin.socket,
            self._methods[case.method],
            size=case.size,
            connections=case.connections,
            callers=case.callers,
            seconds=seconds,
            ciphertexts=plugin.ciphertexts.get(case.size) if case.method == "Decrypt" else None,
        )
        after = cpu([plugin.pid]), cpu(plugin.supervisors)
        server, supervisors = ((late - early) / told.calls for early, late in zip(before, after, strict=True))
        return Sample(told, server, supervisors)


_SAME = {method: method for method in ("Encrypt", "Decrypt", "Status")}


@contextlib.contextmanager
def every(root: Path, caller: Caller) -> Iterator[list[Side]]:
    """All of them, started: they are idle but for the one that is measured."""
    with contextlib.ExitStack() as exits:
        sides: list[Side] = []
        for name, settings in OURS.items():
            room = root / name.replace(" ", "-")
            plugins = {keys: exits.enter_context(ours(room, settings, keys)) for keys in (1, MANY_KEYS)}
            sides.append(Wire(name, caller, plugins, _SAME))
            empty = exits.enter_context(_empty(room, settings))
            sides.append(Wire(f"{EMPTY}, {name}", caller, {1: empty}, {"Status": "Empty"}))
        reference = exits.enter_context(Reference())
        sides.append(Wire(REFERENCE, caller, {1: Plugin(reference.socket, reference.pid)}, _SAME))
        sides += [exits.enter_context(_softhsm(root / "softhsm"))]
        sides.append(alone.Alone("cryptography alone", alone.library))
        yield sides


@contextlib.contextmanager
def ours(root: Path, settings: Mapping[str, str], keys: int = 1) -> Iterator[Plugin]:
    """The appliance, open, with so many keys."""
    place = root / f"keys-{keys}"
    with _appliance(place, settings, keys) as appliance:
        ciphertexts = {}
        if keys > 1:
            payload = newest(appliance)
            for size in (SEED, LARGEST):
                ciphertexts[size] = place / f"ciphertexts-{size}.json"
                ciphertexts[size].write_text(encrypted(payload, appliance.memory / "bench", size))
        appliance.start()
        appliance.wait_ready(120)
        # What is there afterwards stays.
        eventually(lambda: appliance.pid("provision") == 0, within=_START_SECONDS)
        server = appliance.pid("kms")
        others = tuple(pid for pid in appliance.processes() if pid != server)
        yield Plugin(appliance.socket, server, others, ciphertexts, place / "log")


@contextlib.contextmanager
def _appliance(place: Path, settings: Mapping[str, str], keys: int) -> Iterator[Appliance]:
    with Appliance(place, CONFIG, log_format="json", **settings) as appliance:
        appliance.start()
        appliance.wait_ready()
        appliance.stop()
        if keys > 1:
            fill(appliance, keys)
        yield appliance


@contextlib.contextmanager
def _softhsm(root: Path) -> Iterator[Side]:
    with contextlib.ExitStack() as exits:
        appliances = {
            keys: exits.enter_context(_appliance(root / str(keys), {}, keys)) for keys in (1, MANY_KEYS)
        }
        payloads = {keys: newest(each) for keys, each in appliances.items()}
        tokens = alone.SoftHsm(payloads, appliances[1].memory / "alone")
        exits.callback(tokens.close)
        yield alone.Alone("SoftHSM alone", tokens.ciphers)


@contextlib.contextmanager
def _empty(root: Path, settings: Mapping[str, str]) -> Iterator[Plugin]:
    with Appliance(root / "empty", CONFIG, **settings) as appliance:
        socket = appliance.socket
        socket.parent.mkdir(mode=0o700, parents=True)
        command = [sys.executable, "-m", "tests.bench.kms.empty", str(socket)]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=appliance.environment)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not socket.exists():
                assert process.poll() is None, "the empty handler ended at its start"
                assert time.monotonic() < deadline, "the empty handler does not listen"
                time.sleep(0.01)
            yield Plugin(socket, process.pid)
        finally:
            process.kill()
            process.wait()
