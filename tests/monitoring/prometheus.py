"""The real Prometheus over one appliance, with every interval of the rules cut to seconds."""

import contextlib
import json
import re
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from appliance.manifests.monitoring import rules
from tests.install.texts import read
from tests.rig import Appliance

WINDOW = "20s"


def hurried() -> str:
    """The shipped rules; only how long they wait and how far they look back is cut."""
    text = read(rules.plain())
    for group in text["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[\d+[smh]\]", f"[{WINDOW}]", rule["expr"])
            if "for" in rule:
                rule["for"] = "2s"
    return yaml.safe_dump(text)


class Bridge:
    """Prometheus reads no Unix sockets: a port of the loopback address in front of one, a thread a caller."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with caller, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._path))
            request = caller.recv(65536)
            server.sendall(re.sub(rb"\r\nHost: [^\r]*", b"\r\nHost: localhost", request))
            while piece := server.recv(65536):
                caller.sendall(piece)


class Prometheus:
    def __init__(self, directory: Path, kleidi: str, apiservers: list[str]) -> None:
        (directory / "rules.yaml").write_text(hurried())
        jobs = [
            {"job_name": "kleidi", "static_configs": [{"targets": [kleidi]}]},
            {
                "job_name": "apiserver",
                "scheme": "https",
                "tls_config": {"insecure_skip_verify": True},
                "static_configs": [{"targets": apiservers}],
            },
        ]
        interval = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": interval, "rule_files": ["rules.yaml"], "scrape_configs": jobs}
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._log = (directory / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={directory / 'prometheus.yaml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire, by name; the last of several that share one. Empty until it answers."""
        with contextlib.suppress(OSError):
            found = self._ask("alerts")["alerts"]
            return {each["labels"]["alertname"]: each for each in found if each["state"] == "firing"}
        return {}

    def asked(self, expression: str) -> list[dict[str, Any]]:
        with contextlib.suppress(OSError):
            found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
            return found
        return []

    def over_time(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """Its series between two times in Unix seconds, a value a second."""
        found: list[dict[str, Any]] = self._ask(
            "query_range", query=expression, start=str(start), end=str(end), step="1"
        )["result"]
        return found

    def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["data"]
        return found


@contextlib.contextmanager
def scraping(appliance: Appliance, directory: Path, *api_servers: str) -> Iterator[Prometheus]:
    """One that reads this appliance, and API servers by their addresses."""
    bridge = Bridge(appliance.admin.with_name("health.sock"))
    running = Prometheus(directory, bridge.address, [*api_servers])
    try:
        yield running
    finally:
        running.stop()
        bridge.close()
