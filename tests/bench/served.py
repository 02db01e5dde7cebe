"""`kleidi serve` of any checkout, without supervisord: one process, whose memory and speed are its own."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

import grpc

from tests.rig import CHECKOUT, CONFIG, Appliance

_START_SECONDS = 60.0


class Served:
    def __init__(
        self, root: Path, settings: Mapping[str, str] = MappingProxyType({}), tree: Path = CHECKOUT
    ) -> None:
        """*settings* are KLEIDI_ values by lower-case names without the prefix."""
        self._appliance = Appliance(root, CONFIG, **settings)
        self._tree = tree
        self._env = {**self._appliance.environment, "PYTHONPATH": str(tree)}
        self.socket = self._appliance.socket
        self._log = root / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        own = self._appliance
        for directory in (own.memory, own.volume, own.root / "etc", own.socket.parent, own.admin.parent):
            directory.mkdir(mode=0o700, parents=True)
        try:
            self.run("provision")
            # Log lines go to a file, as they go to a pipe in the container: they are part of the price.
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "appliance", "serve"], cwd=self._tree, env=self._env, stderr=log
                )
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        self._appliance.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def healthz(self) -> str:
        return self._appliance.status().healthz

    def run(self, *command: str) -> None:
        """A command of the same checkout, with the same settings."""
        subprocess.run(
            [sys.executable, "-m", "appliance", *command],
            cwd=self._tree,
            env=self._env,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(grpc.RpcError):
                if self.healthz() == "ok":
                    return
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)


@contextlib.contextmanager
def earlier(commit: str) -> Iterator[Path | None]:
    """A checkout of *commit*; None where this repository has it not."""
    git = ["git", "-C", str(CHECKOUT)]
    known = subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False)
    if known.returncode != 0:
        yield None
        return
    place = Path(tempfile.mkdtemp(prefix="kleidi-bench-"))
    archive = place / "archive.tar"
    try:
        subprocess.run([*git, "archive", "-o", str(archive), commit], check=True)
        subprocess.run(["tar", "-xf", str(archive), "-C", str(place)], check=True)
        yield place
    finally:
        shutil.rmtree(place)
