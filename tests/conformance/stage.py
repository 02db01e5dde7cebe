"""API servers of one test or one module: they share a corner of etcd, and they all end with it."""

import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Provider
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer


class Stage:
    def __init__(self, program: SecretServer, etcd: Etcd, directory: Path) -> None:
        self.prefix = f"/{uuid.uuid4().hex}"
        self._program = program
        self._etcd = etcd
        self._directory = directory
        self._exits = contextlib.ExitStack()
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.close()

    def apiserver(
        self,
        *providers: Provider,
        resources: Sequence[str] = ("secrets",),
        prefix: str | None = None,
        watch_cache: bool = True,
        ready: bool = True,
    ) -> ApiServer:
        """A fresh process with nothing cached; *ready* false only waits until it answers at all."""
        self._count += 1
        directory = self._directory / f"apiserver-{self._count}"
        directory.mkdir()
        server = ApiServer(self._program, self._etcd, directory, prefix or self.prefix)
        server.configure(providers, resources)
        self._exits.callback(server.stop)
        server.start(watch_cache=watch_cache)
        if ready:
            server.wait_ready()
        else:
            server.wait_listening()
        return server
