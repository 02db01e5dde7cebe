"""The Go program of tests/bench/client: who calls, in HashiCorp's or in the API server's language.

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

PROGRAM = CHECKOUT / ".cache" / "benchclient"  # `make bench` builds it
GROWTH = 1.1  # of a histogram's steps, from a microsecond on (told.go)
SEED = 32  # bytes of what the API server has encrypted


@dataclass(frozen=True)
class Told:
    """Calls' lengths in microseconds, the failed ones among them; how long it took in all, in seconds."""

    calls: int
    failed: int
    errors: dict[str, int]  # by gRPC's names of codes
    error: str
    seconds: float
    p50: float
    p90: float
    p99: float
    slowest: float
    first: int
    histogram: list[int]  # how many calls in each step, from the *first* that has one

    @property
    def rate(self) -> float:
        """Calls that were answered, per second."""
        return (self.calls - self.failed) / self.seconds


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

    def kms(  # noqa: PLR0913  the words of an order
        self,
        socket: Path,
        method: str = "Encrypt",
        *,
        size: int = SEED,
        connections: int = 1,
        callers: int = 1,
        calls: int = 0,
        seconds: float = 0,
        ciphertexts: Path | None = None,
    ) -> Told:
        """Call a KMS v2 plugin: each caller so many *calls*, or for so many *seconds*.

        *ciphertexts* are what Decrypt opens in turn, a list of Encrypt's answers; else one that is made now.
        """
        what = {"kms": str(socket), "method": method, "size": size, "connections": connections}
        which = {"ciphertexts": str(ciphertexts or "")}
        return self._order({**what, **which, "callers": callers, "calls": calls, "seconds": seconds})

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
        return self._order({"transit": {**where, **which}, "size": SEED, "callers": callers, "calls": calls})

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
