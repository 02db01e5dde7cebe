"""The Go program of tests/apiserver: how to build it, and what its small commands tell."""

import ast
import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "tests" / "apiserver"
COMMAND_SECONDS = 300


class SecretServer:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def obtain(cls) -> "SecretServer":
        """The program KLEIDI_TEST_SECRETSERVER names, else one built now: minutes when Go is cold."""
        given = os.environ.get("KLEIDI_TEST_SECRETSERVER")
        if given:
            assert Path(given).is_file(), f"KLEIDI_TEST_SECRETSERVER names {given}, which is no file"
            return cls(Path(given).resolve())
        assert shutil.which("go"), (
            "go is not on PATH; install Go, or set KLEIDI_TEST_SECRETSERVER to a built program"
        )
        path = REPOSITORY / ".cache" / "secretserver"
        path.parent.mkdir(exist_ok=True)
        subprocess.run(
            ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(path), "."], cwd=SOURCE, check=True
        )
        return cls(path)

    def check_config(self, configuration: Path) -> list[str]:
        """The resources it covers, then the providers' health; fails with the words of a refusal to load."""
        return self._run("check-config", str(configuration)).decode().splitlines()

    def parse_endpoints(self, *endpoints: str) -> list[str | None]:
        """What the API server would dial for each string; None where it refuses the string."""
        lines = self._run("parse-endpoint", *endpoints).decode().splitlines()
        return [self._dialled(line) for line in lines]

    @staticmethod
    def _dialled(line: str) -> str | None:
        verdict, _, quoted = line.partition(" ")
        assert verdict in {"path", "error"}, line
        # Go's quoting of a string is a Python literal, too.
        return str(ast.literal_eval(quoted)) if verdict == "path" else None

    def stored(self, etcd: str, key: str) -> bytes:
        return self._run("stored", "--etcd-servers", etcd, key)

    def put(self, etcd: str, key: str, value: bytes) -> None:
        self._run("put", "--etcd-servers", etcd, key, stdin=value)

    def seeds(self, etcd: str, prefix: str, *, provider: str, endpoint: str, count: int) -> None:
        """Leave *count* Secrets behind, each encrypted under a seed of its own."""
        target = ["--etcd-servers", etcd, "--etcd-prefix", prefix]
        self._run("seeds", *target, "--provider", provider, "--endpoint", endpoint, "--count", str(count))

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = [str(self.path), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, f"{arguments[0]}: {done.stderr.decode(errors='replace')[-4000:]}"
        return done.stdout
