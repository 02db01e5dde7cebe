"""A caller that does what the API server does, all the time, beside whatever else is done to the socket."""

import threading
import time
from pathlib import Path
from typing import Self

import grpc

from tests.service.client import PATIENCE_SECONDS, Client, connected

SEED = b"thirty-two bytes of a seed, here"


class Good:
    """Status, a call to seal and one to open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ending, self._served = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failures: list[str] = []
        self.crowded_out = 0
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        with connected(self._path) as client:
            while not self._ending.is_set():
                try:
                    self._once(client)
                except grpc.RpcError as error:
                    self._take(error)

    def _take(self, error: grpc.RpcError) -> None:
        # What a crowd of more than ten full connections at one moment brings about (docs/limits.md).
        if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.CANCELLED:
            self.crowded_out += 1
        else:
            self.failures.append(str(error))

    def _once(self, client: Client) -> None:
        begun = time.monotonic()
        if client.status().healthz != "ok":
            self.failures.append("not ok")
        self.seconds.append(time.monotonic() - begun)
        if client.open(client.encrypt(SEED)) != SEED:
            self.failures.append("came back changed")
        self._served.set()

    def wait(self) -> None:
        """Until it is served once more."""
        self._served.clear()
        assert self._served.wait(PATIENCE_SECONDS), "the good caller is not served"

    @property
    def p99(self) -> float:
        """Of Status, in seconds."""
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]
