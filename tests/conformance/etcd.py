"""A real etcd on loopback, as young and as short-lived as the test run."""

import contextlib
import http.client
import platform
import shutil
import socket
import subprocess
from pathlib import Path

from tests.conformance.patience import eventually

START_SECONDS = 60
STOP_SECONDS = 30


class Etcd:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ("", 0)
        self.url = ""

    def start(self) -> None:
        program = shutil.which("etcd")
        assert program, "etcd is not on PATH; Debian and Ubuntu have it in the package etcd-server"
        ports = free_ports(2)
        self._address = ("127.0.0.1", ports[0])
        self.url, peer = (f"http://127.0.0.1:{port}" for port in ports)
        command = [program, "--data-dir", str(self._directory / "data")]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", f"default={peer}"]
        # An environment of its own: etcd reads ETCD_*, and 3.4 wants to be told that 64-bit ARM is meant.
        environment = {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {}
        with (self._directory / "etcd.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        eventually(self._healthy, within=START_SECONDS, explain=self.log)

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        with contextlib.closing(http.client.HTTPConnection(*self._address, timeout=5)) as connection:
            try:
                connection.request("GET", "/health")
                return b'"true"' in connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                return False

    def log(self) -> str:
        return (self._directory / "etcd.log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_ports(count: int) -> list[int]:
    """Ports nobody holds now. All are bound at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
