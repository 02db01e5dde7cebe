"""One API server process, and a plain client for it."""

import base64
import contextlib
import http.client
import json
import re
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import encryption
from tests.conformance.encryption import Provider
from tests.conformance.etcd import Etcd
from tests.conformance.patience import PAUSE_SECONDS, eventually
from tests.conformance.secretserver import SecretServer

Json = dict[str, Any]

REQUEST_SECONDS = 60
START_SECONDS = 90
STOP_SECONDS = 30
SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


class RefusedError(Exception):
    """The API server answered with an error; its words are in *message*."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Answer:
    status: int
    text: str


class ApiServer:
    def __init__(self, program: SecretServer, etcd: Etcd, directory: Path, prefix: str) -> None:
        self._program = program
        self._etcd = etcd
        self._directory = directory
        self._prefix = prefix
        self._configuration = directory / "encryption.json"
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def configure(self, providers: Sequence[Provider], resources: Sequence[str] = ("secrets",)) -> None:
        """Before the start: the configuration. Afterwards: a change for the server to notice by itself."""
        encryption.write(self._configuration, providers, resources)

    def start(self, *, watch_cache: bool = True) -> None:
        command = [str(self._program.path), "serve", "--etcd-servers", self._etcd.url]
        command += ["--etcd-prefix", self._prefix, f"--watch-cache={str(watch_cache).lower()}"]
        command += ["--encryption-provider-config", str(self._configuration)]
        # At this verbosity the library logs why a provider is not healthy.
        command += ["--encryption-provider-config-automatic-reload", "-v=2"]
        with (self._directory / "apiserver.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("port="), f"the API server did not start:\n{self.tail()}"
        self._port = int(line.removeprefix("port="))

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    @property
    def address(self) -> str:
        """Host and port, as who scrapes it wants them."""
        return f"127.0.0.1:{self._port}"

    def wait_listening(self) -> None:
        """It answers, whatever it says. A provider that is away delays this by its timeout."""
        eventually(lambda: self._tried("/livez"), within=START_SECONDS, explain=self.tail)

    def wait_ready(self, within: float = START_SECONDS, pause: float = PAUSE_SECONDS) -> None:
        def explain() -> str:
            return f"{self.kms_health()}\n{self.tail()}"

        eventually(self._is_ready, within=within, explain=explain, pause=pause)

    def _is_ready(self) -> bool:
        answer = self._tried("/readyz")
        return answer is not None and answer.status == http.HTTPStatus.OK

    def kms_health(self) -> Answer:
        """The verdict on the providers, with the reasons; /readyz itself withholds them."""
        return self._ask("GET", "/readyz/kms-providers")

    def readyz(self) -> Answer:
        return self._ask("GET", "/readyz?verbose")

    def log(self) -> str:
        return (self._directory / "apiserver.log").read_text(errors="replace")

    def tail(self) -> str:
        """The end of the log: what a failed wait should show."""
        return self.log()[-8000:]

    def create_secret(self, name: str, value: str) -> None:
        self._call("POST", _address("secrets"), _secret(name, value))

    def replace_secret(self, name: str, value: str) -> None:
        self._call("PUT", _address("secrets", name), _secret(name, value))

    def delete_secret(self, name: str) -> None:
        self._call("DELETE", _address("secrets", name))

    def secret(self, name: str) -> str:
        return _value(self._call("GET", _address("secrets", name)))

    def secrets(self) -> dict[str, str]:
        found = self._call("GET", _address("secrets"))
        return {each["metadata"]["name"]: _value(each) for each in found["items"]}

    def create_configmap(self, name: str, value: str) -> None:
        self._call("POST", _address("configmaps"), _object("ConfigMap", name, value))

    def configmap(self, name: str) -> str:
        return str(self._call("GET", _address("configmaps", name))["data"]["value"])

    def stored(self, name: str, resource: str = "secrets") -> bytes:
        """The bytes etcd holds, past the API server."""
        return self._program.stored(self._etcd.url, self._key(name, resource))

    def put_stored(self, name: str, value: bytes) -> None:
        self._program.put(self._etcd.url, self._key(name, "secrets"), value)

    def _key(self, name: str, resource: str) -> str:
        return f"{self._prefix}/{resource}/default/{name}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of *name* that carry *labels*; 0 when there is none."""
        total = 0.0
        for sample in SAMPLE.finditer(self._ask("GET", "/metrics").text):
            carried = dict(LABEL.findall(sample["labels"] or ""))
            if sample["name"] == name and labels.items() <= carried.items():
                total += float(sample["value"])
        return total

    def _call(self, method: str, path: str, content: Json | None = None) -> Json:
        answer = self._ask(method, path, content)
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise RefusedError(answer.status, answer.text)
        found: Json = json.loads(answer.text)
        return found

    def _tried(self, path: str) -> Answer | None:
        assert self._process is not None
        assert self._process.poll() is None, f"the API server has ended:\n{self.tail()}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._ask("GET", path)
        return None

    def _ask(self, method: str, path: str, content: Json | None = None) -> Answer:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=REQUEST_SECONDS, context=_unverified()
        )
        with contextlib.closing(connection):
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())


def _unverified() -> ssl.SSLContext:
    """The certificate is made in the server's memory at its start, and the wire is loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _address(resource: str, name: str = "") -> str:
    return f"/api/v1/namespaces/default/{resource}" + (f"/{name}" if name else "")


def _secret(name: str, value: str) -> Json:
    return _object("Secret", name, base64.b64encode(value.encode()).decode())


def _object(kind: str, name: str, value: str) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"value": value}}


def _value(secret: Json) -> str:
    """The tests' own Secrets have one entry."""
    (value,) = secret["data"].values()
    return base64.b64decode(value).decode()
