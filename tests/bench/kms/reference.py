"""The Go program of tests/bench/reference, with a token of its own in memory, as ours has it."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from softhsm import Library
from tests.rig import CHECKOUT, MEMORY

PROGRAM = CHECKOUT / ".cache" / "reference"  # `make bench` builds it
_START_SECONDS = 30.0


class Reference:
    def __enter__(self) -> Self:
        self._room = Path(tempfile.mkdtemp(prefix="kleidi-reference-", dir=MEMORY))
        self.socket = self._room / "kms.sock"
        tokens, configuration = self._room / "tokens", self._room / "softhsm2.conf"
        tokens.mkdir()
        configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
        environment = {**os.environ, "SOFTHSM2_CONF": str(configuration)}
        command = [str(PROGRAM), str(self.socket), str(Library.find().module)]
        self._process = subprocess.Popen(command, env=environment)
        deadline = time.monotonic() + _START_SECONDS
        while not self.socket.exists():
            assert self._process.poll() is None, "the reference ended at its start"
            assert time.monotonic() < deadline, "the reference does not listen"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._room)

    @property
    def pid(self) -> int:
        return self._process.pid
