"""One static pod: the very manifest that `kleidi manifests` writes, on directories of the test's own."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import grpc

from appliance.manifests.description import Description, Role, User
from appliance.manifests.pod import static_pod
from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance.patience import eventually
from tests.container.engine import Engine

IMAGE = os.environ.get("KLEIDI_TEST_IMAGE", "localhost/kleidi:latest")
READY_SECONDS = 60
GRACE_SECONDS = 20  # the manifest's terminationGracePeriodSeconds
OWN_USER = 10001
T = TypeVar("T")


class Pod:
    def __init__(self, engine: Engine, *, user: User = User.ROOT, image: str = IMAGE) -> None:
        self.engine = engine
        self.image = image
        self.name = f"kleidi-{secrets.token_hex(3)}"
        self.container = f"{self.name}-kleidi"
        self.root = engine.root / self.name
        self.volume, self.secrets = self.root / "volume", self.root / "secrets"
        self.run, self.admin = self.root / "run", self.root / "admin"
        self.token = self.root / "token"
        self.socket = self.run / "kms.sock"
        self.user = user
        for directory in (self.volume, self.secrets, self.run, self.admin):
            directory.mkdir(parents=True)
            self.prepare(directory)
        mount(self.token, "size=16m,mode=0777")

    def prepare(self, directory: Path) -> None:
        """What the kubelet makes is root's with 0755; others find what an operator has prepared for them."""
        directory.chmod(0o755 if self.user is User.ROOT else 0o700)
        if self.user is User.NONROOT:
            os.chown(directory, OWN_USER, OWN_USER)

    def manifest(self) -> str:
        described = Description(
            role=Role.FIRST,
            user=self.user,
            image=self.image,
            volume=str(self.volume),
            secrets=str(self.secrets),
            config=str(self.root / "config"),
            sockets=str(self.run),
            admin=str(self.admin),
        )
        text = _replaced(
            r"  name: kleidi\n  namespace", f"  name: {self.name}\n  namespace", static_pod(described)
        )
        # podman 4.3 makes an emptyDir on disk whatever its medium; the kubelet mounts a tmpfs open to all.
        text = _replaced(
            r"    emptyDir:\n      medium: Memory\n      sizeLimit: \w+\n",
            f"    hostPath:\n      path: {self.token}\n      type: Directory\n",
            text,
        )
        # podman runs a probe by way of a shell, which the image has not; the kubelet executes it, as we do.
        return _replaced(r"    # Alive is.*?(?=    resources:)", "", text)

    def probes(self) -> dict[str, list[str]]:
        """The commands that the kubelet would run."""
        found = re.findall(
            r"    (\w+)Probe:\n      exec:\n        command: \[(.*)\]", static_pod(Description())
        )
        return {name: command.split(", ") for name, command in found}

    def probe(self, name: str) -> tuple[int, str]:
        """Exit code and words of one of them."""
        done = self.engine.call("exec", self.container, *self.probes()[name])
        return done.returncode, (done.stdout + done.stderr).strip()

    def start(self) -> None:
        done = self.try_start()
        assert done.returncode == 0, done.stdout + done.stderr

    def try_start(self) -> subprocess.CompletedProcess[str]:
        file = self.root / "pod.yaml"
        file.write_text(self.manifest())
        return self.engine.call("play", "kube", "--log-driver", "k8s-file", str(file))

    def stop(self) -> tuple[int, float]:
        """As the kubelet does it: SIGTERM, the grace period. The exit code and the seconds it took."""
        begun = time.monotonic()
        self.engine.run("stop", "--time", str(GRACE_SECONDS), self.container)
        return self.exit_code(), time.monotonic() - begun

    def exit_code(self) -> int:
        return int(self.engine.run("inspect", "--format", "{{.State.ExitCode}}", self.container))

    def delete(self) -> None:
        self.engine.run("pod", "rm", "--force", "--time", str(GRACE_SECONDS), self.name)

    def restart(self) -> None:
        """Gone and made anew, as a static pod is when its manifest changes."""
        self.delete()
        self.start()

    def pid(self) -> int:
        return int(self.engine.run("inspect", "--format", "{{.State.Pid}}", self.container))

    def kill(self) -> None:
        """Not by `podman kill`, which podman takes for a wish that the container stay down."""
        os.kill(self.pid(), signal.SIGKILL)

    def wait_listens_to_signals(self) -> None:
        """PID 1 gets no signal that it has not asked for (pid_namespaces(7)), and Python starts first."""
        status = Path(f"/proc/{self.pid()}/status")
        term = 1 << signal.SIGTERM - 1

        def caught() -> bool:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return bool(int(fields["SigCgt"], 16) & term)

        eventually(caught, within=READY_SECONDS, explain=self.log)

    def kill_server(self) -> None:
        for line in self.engine.run("top", self.container, "hpid", "args").splitlines():
            pid, _, arguments = line.strip().partition(" ")
            if arguments.rstrip().endswith("serve"):
                os.kill(int(pid), signal.SIGKILL)
                return
        raise AssertionError("the server does not run")

    def kleidi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.engine.call("exec", self.container, "kleidi", *arguments)

    def report(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.kleidi("status", "--output", "json").stdout or "{}")
        return found

    def log(self) -> str:
        done = self.engine.call("logs", self.container)
        return done.stdout + done.stderr

    def inspect(self) -> str:
        return self.engine.run("inspect", self.container)

    def call(self, ask: Callable[[api_pb2_grpc.KeyManagementServiceStub], T]) -> T:
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            return ask(api_pb2_grpc.KeyManagementServiceStub(channel))

    def encrypt(self, plaintext: bytes) -> api_pb2.EncryptResponse:
        request = api_pb2.EncryptRequest(plaintext=plaintext, uid="test")
        return self.call(lambda stub: stub.Encrypt(request, timeout=3))

    def decrypt(self, sealed: api_pb2.EncryptResponse) -> bytes:
        request = api_pb2.DecryptRequest(ciphertext=sealed.ciphertext, key_id=sealed.key_id, uid="test")
        return self.call(lambda stub: stub.Decrypt(request, timeout=3)).plaintext

    def health(self) -> tuple[str, str]:
        """Status as the API server sees it: the word or the reason, and the key id."""
        try:
            status = self.call(lambda stub: stub.Status(api_pb2.StatusRequest(), timeout=3))
        except grpc.RpcError as error:
            return str(error.details()), ""
        return status.healthz, status.key_id

    def wait_ready(self) -> str:
        """The key id, once Status says ok."""
        eventually(lambda: self.health()[0] == "ok", within=READY_SECONDS, explain=self._explain)
        return self.health()[1]

    def wait_reason(self, fault: str) -> None:
        """Status, the log and the command line agree on *fault*; it lives and is not ready."""
        eventually(lambda: fault in self.health()[0], within=READY_SECONDS, explain=self._explain)
        assert fault in self.log()
        assert self.report()["reason_id"] == fault
        assert self.probe("liveness")[0] == 0, self.probe("liveness")
        code, words = self.probe("readiness")
        assert code == 1
        assert fault in words

    def wait_logged(self, fault: str) -> None:
        """The log says *fault*, and nobody is told that all is well."""
        eventually(lambda: fault in self.log(), within=READY_SECONDS, explain=self._explain)
        assert self.health()[0] != "ok"
        assert self.probe("readiness")[0] == 1

    def _explain(self) -> str:
        return f"{self.health()}\n{self.log()}"

    def close(self) -> None:
        self.engine.call("pod", "rm", "--force", "--time", "0", self.name)
        for directory in (self.token, self.volume):
            subprocess.run(["umount", "--lazy", str(directory)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.root, ignore_errors=True)


def mount(directory: Path, options: str) -> None:
    """A tmpfs, small enough to be full; or the one already there, with other options."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "kleidi-test", str(directory)], check=True)


def _replaced(pattern: str, by: str, text: str) -> str:
    changed, count = re.subn(pattern, by, text, flags=re.DOTALL)
    assert count == 1, f"the manifest no longer has what the tests change in it: {pattern}"
    return changed
