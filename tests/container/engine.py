"""podman with a store of its own: nobody else's containers are seen or touched, nothing is left behind."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
COMMAND_SECONDS = 180


class Engine:
    """Images come from the caller's own store, which is only read (containers-storage.conf(5))."""

    def __init__(self) -> None:
        assert os.geteuid() == 0, "these tests mount small and read-only volumes: run them as root"
        assert shutil.which("podman"), "podman is not on PATH; make container-test installs it"
        self.settings = {**os.environ, "CONTAINERS_CONF": str(HERE / "containers.conf")}
        # Short, because a socket's path must be.
        self.root = Path(tempfile.mkdtemp(prefix="kl-"))
        self.root.chmod(0o755)
        store, driver = self.run(
            "info", "--format", "{{.Store.GraphRoot}} {{.Store.GraphDriverName}}"
        ).split()
        configuration = self.root / "storage.conf"
        configuration.write_text(
            f'[storage]\ndriver = "{driver}"\n'
            f'graphroot = "{self.root}/graph"\nrunroot = "{self.root}/runroot"\n'
            f'[storage.options]\nadditionalimagestores = ["{store}"]\n'
        )
        self.settings["CONTAINERS_STORAGE_CONF"] = str(configuration)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(AssertionError):
            self.run("pod", "rm", "--all", "--force", "--time", "0")
        with contextlib.suppress(AssertionError):
            self.run("rm", "--all", "--force", "--time", "0", "--volumes")
        # podman keeps its store mounted on itself (overlay(7) wants it private).
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if Path(line.split()[1]).is_relative_to(self.root):
                subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def call(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *arguments],
            env=self.settings,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def run(self, *arguments: str, stdin: str = "") -> str:
        done = self.call(*arguments, stdin=stdin)
        assert done.returncode == 0, f"podman {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()
