"""The appliance under test: the real supervisord with the real programs, below a directory of its own."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from proto.kmsv2 import api_pb2, api_pb2_grpc

CHECKOUT = Path(__file__).resolve().parent.parent
CONFIG = CHECKOUT / "container" / "supervisord.conf"
MEMORY = Path("/dev/shm")  # noqa: S108
BIN = Path(sys.executable).parent
STOP_SECONDS = 20


def talkative(root: Path) -> Path:
    """Our own configuration, with a supervisord that logs what becomes of its programs."""
    text = CONFIG.read_text()
    assert text.count("loglevel=warn\n") == 1
    changed = root / "supervisord.conf"
    changed.write_text(text.replace("loglevel=warn\n", "loglevel=info\n"))
    return changed


class Appliance:
    """Starts nothing by itself; *settings* are KLEIDI_ values by lower-case names without the prefix."""

    def __init__(self, root: Path, config: Path = CONFIG, **settings: str) -> None:
        self.root = root
        self.volume = root / "volume"
        # Sockets are here as well: pytest's directories are too long for the 107 bytes of a socket's path.
        self.memory = MEMORY / f"kleidi-test-{secrets.token_hex(6)}"
        self.control = self.memory / "supervisor"
        self.socket = self.memory / "run" / "kms.sock"
        self.admin = self.memory / "admin" / "admin.sock"
        defaults = {
            "provision": "auto",
            "slot": "volume",
            "allow_unmounted": "true",
            "volume_dir": str(self.volume),
            "anchor_file": str(root / "etc" / "anchor.json"),
            "memory_dir": str(self.memory / "memory"),
            "socket": str(self.socket),
            "admin_socket": str(self.admin),
            "log_format": "text",
            "transport": os.environ.get("KLEIDI_TEST_TRANSPORT", "nghttp2"),
        }
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("KLEIDI_", "SUPERVISOR_"))
            },
            **{f"KLEIDI_{name.upper()}": value for name, value in {**defaults, **settings}.items()},
            "SUPERVISOR_DIR": str(self.control),
        }
        self._forget = weakref.finalize(self, _remove, self.memory)
        self._config = config
        # Another command that runs the appliance's: as whom, in which groups, with which capabilities.
        self.runner: list[str] = []
        self._output = root / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stop()
        self._forget()

    def start(self) -> None:
        for directory in (self.memory, self.volume, self.root / "etc", self.socket.parent, self.admin.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.runner, sys.executable, "-m", "appliance.boot", "--config", str(self._config)],
                env=self.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # by its session number nothing of it can hide from stop()
            )

    def stop(self) -> int:
        """SIGTERM, and the exit code; 0 when it was never started."""
        if self._process is None:
            return 0
        try:
            self._process.terminate()
            return self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)

    def wait_end(self, timeout: float = 30) -> int:
        """The exit code of an appliance that ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout)

    def lose_supervisord(self) -> None:
        """SIGKILL for supervisord alone; what it started is left behind."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def reboot(self) -> None:
        """What a power cycle does: no goodbye, and memory is empty."""
        assert self._process is not None
        self._process.kill()
        self.stop()
        _remove(self.memory)
        self.start()

    def wait_ready(self, timeout: float = 60) -> str:
        """The key id, once Status says ok."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                status = self.status()
                if status.healthz == "ok":
                    return status.key_id
                reason = status.healthz
            except grpc.RpcError as error:
                reason = str(error)
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"not ready: {reason}\n{self.log()}")
            time.sleep(0.05)

    def status(self) -> api_pb2.StatusResponse:
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            return api_pb2_grpc.KeyManagementServiceStub(channel).Status(api_pb2.StatusRequest(), timeout=3)

    def pid(self, program: str) -> int:
        """The process id of "kms" or "provision"; 0 when it does not run."""
        words = {"serve" if program == "kms" else program, f"{program}.py"}
        return next((pid for pid in self.processes() if words & _command(pid)), 0)

    def state(self, program: str) -> str:
        """STARTING, RUNNING once it stayed up, or EXITED, as a `talkative` supervisord last told it."""
        told = re.findall(rf"\b(spawned|success|exited): '?{program}\b", self.log())
        return {"spawned": "STARTING", "success": "RUNNING", "exited": "EXITED"}[told[-1]] if told else ""

    def kill(self, program: str) -> None:
        pid = self.pid(program)
        assert pid > 0, f"{program} does not run"  # 0 would mean our own process group
        os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Every process of this appliance that is still there."""
        assert self._process is not None
        return [pid for pid in _pids() if _session(pid) == self._process.pid]

    def log(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The kleidi command with these settings."""
        return subprocess.run(
            [str(BIN / "kleidi"), *arguments],
            env={**self.environment, **(env or {})},
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _session(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]  # proc(5)
    return 0 if state == "Z" else int(session)


def _command(pid: int) -> set[str]:
    """The names among the words that started it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return set()
    return {Path(os.fsdecode(word)).name for word in words}


def _remove(directory: Path) -> None:
    for path, _, _ in os.walk(directory):
        Path(path).chmod(0o700)  # the open token is kept read-only
    shutil.rmtree(directory, ignore_errors=True)
