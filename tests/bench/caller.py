"""The Go program of tests/bench/vaultclient: who calls, in HashiCorp's or in the API server's language.

A caller in Python would cost more than the server it measures.
"""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.rig import CHECKOUT
from tests.transit.openbao import Node

PROGRAM = CHECKOUT / ".cache" / "vaultclient"  # `make bench` builds it


@dataclass(frozen=True)
class Told:
    """All calls' lengths in microseconds, the failed ones among them; how long it took in all, in seconds."""

    micros: list[float]
    failed: int
    error: str
    seconds: float

    @property
    def median(self) -> float:
        return sorted(self.micros)[len(self.micros) // 2]

    @property
    def rate(self) -> float:
        """Calls that were answered, per second."""
        return (len(self.micros) - self.failed) / self.seconds


class Caller:
    """One process; it keeps a connection to each server that it ever called."""

    def __init__(self) -> None:
        # Without its VAULT_ variables, which the client reads by itself.
        env = {"HOME": os.environ.get("HOME", "/"), "GOMAXPROCS": "2"}
        self._process = subprocess.Popen(
            [PROGRAM], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def kms(self, socket: Path, *, callers: int = 1, calls: int = 0, seconds: float = 0) -> Told:
        """Encrypt at a KMS v2 plugin: each caller so many *calls*, or for so many *seconds*."""
        return self._order({"kms": str(socket), "callers": callers, "calls": calls, "seconds": seconds})

    def status(self, socket: Path, *, calls: int) -> Told:
        return self._order({"kms": str(socket), "status": True, "callers": 1, "calls": calls})

    def kms_meanwhile(self, socket: Path, *, callers: int, seconds: float) -> "Future[Told]":
        told: Future[Told] = Future()

        def call() -> None:
            try:
                told.set_result(self.kms(socket, callers=callers, seconds=seconds))
            except BaseException as error:  # noqa: BLE001  whoever waits for it is told
                told.set_exception(error)

        threading.Thread(target=call, daemon=True).start()
        return told

    def transit(self, server: Node, token: str, *, address: str = "", callers: int = 1, calls: int) -> Told:
        """Encrypt right at a Transit server, with associated data and a pinned version."""
        where = {
            "address": address or server.address,
            "ca": str(server.authority.certificate),
            "token": token,
        }
        which = {"mount": "transit", "key": "kleidi", "version": 1}
        return self._order({"transit": {**where, **which}, "callers": callers, "calls": calls})

    def _order(self, order: dict[str, object]) -> Told:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Told(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def delayed(server: Node, milliseconds: float) -> Iterator[str]:
    """The address of *server* with a round trip that is longer by so much."""
    command = [str(PROGRAM), "delay", f"127.0.0.1:{server.port}", str(milliseconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"https://{process.stdout.readline().strip()}"
        finally:
            process.kill()
