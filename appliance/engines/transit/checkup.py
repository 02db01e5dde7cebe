"""Everything that Transit must be able to do for a node, tried one by one from here; nothing is changed."""

import ipaddress
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from appliance import faults
from appliance.engines.transit.engine import TransitEngine
from appliance.engines.transit.taking import Taking
from appliance.faults import Fault, KleidiError
from appliance.keys import key_id
from appliance.keys.engine import AwayError, EngineError, OffError
from appliance.transit.answers import CallError, Outcome
from appliance.transit.client import Request
from appliance.transit.connections.node import Node
from appliance.transit.key import Version
from appliance.transit.metadata import Metadata
from appliance.transit.policy import needed

_ROUNDS = 20
_STATES = {
    200: "active",
    429: "standby",
    472: "standby of a disaster recovery cluster",
    473: "performance standby",
    501: "not initialised",
    503: "sealed",
}
_ABLE = (200, 429, 473)
# Where kubeadm, k3s and RKE2 give their services addresses, unless told otherwise.
_SERVICES = [ipaddress.ip_network(each) for each in ("10.96.0.0/12", "10.43.0.0/16")]


@dataclass(frozen=True)
class Finding:
    """*fault* is None where all is well; one of kind WARNING stops nothing."""

    about: str
    said: str
    fault: Fault | None = None


class Checkup:
    """One look at everything, in an order in which each step needs those ahead of it."""

    def __init__(self, engine: TransitEngine) -> None:
        self._engine = engine
        self._about = "address"

    def run(self) -> Iterator[Finding]:
        """Findings as they come; it ends where nothing behind the last one could be tried."""
        try:
            with self._engine.as_engine():
                yield from self._findings()
        except (AwayError, OffError, KleidiError) as error:
            yield Finding(self._about, error.detail, error.fault)
        except EngineError as error:
            yield Finding(self._about, str(error), faults.TRANSIT_ANSWER)

    def _findings(self) -> Iterator[Finding]:
        nodes = [finding for node in self._engine.client.nodes for finding in self._node(node)]
        yield from nodes
        if all(finding.about != "node" or finding.fault for finding in nodes):
            return
        self._about = "login"
        yield from self._login()
        self._about = "rights"
        yield from self._rights()
        self._about = "key"
        access = self._engine.access
        told = self._engine.keys.metadata(access.mount, access.key)
        yield from self._key(told)
        version = Version(access.mount, access.key, told.latest)
        self._about = "bound"
        yield self._bound(version)
        self._about = "named"
        yield self._named(version)
        self._about = "latency"
        yield self._latency(version)

    def _node(self, node: Node) -> Iterator[Finding]:
        if _inside(node.host):
            words = f"{node.name}: inside the cluster that needs it to start; neither would come up"
            yield Finding("address", words, faults.TRANSIT_INSIDE)
        began = time.monotonic()
        try:
            status, body = self._engine.client.asked(node, Request("GET", "sys/health"), began + 2)
        except CallError as error:
            fault = faults.TRANSIT_TLS if error.outcome is Outcome.TLS else faults.TRANSIT_AWAY
            yield Finding("node", f"{node.name}: {error.said}", fault)
            return
        state = _STATES.get(status)
        if body is None or state is None:
            yield Finding("node", f"{node.name}: status {status}", faults.TRANSIT_ANSWER)
            return
        version = str(body.get("version", ""))[:40]
        words = (
            f"{node.name}: {state}, version {version if version.isprintable() else ''}, certificate trusted"
        )
        sealed = faults.TRANSIT_SEALED if status in (501, 503) else faults.TRANSIT_AWAY
        yield Finding("node", words, None if status in _ABLE else sealed)

    def _login(self) -> Iterator[Finding]:
        access = self._engine.access
        told = self._engine.keys.token_life()
        yield Finding("login", f"auth {access.auth} gives a token{told and f', {told}'}")
        if "root" in told.split():
            yield Finding("login", "it is a root token", faults.TRANSIT_RIGHTS)

    def _rights(self) -> Iterator[Finding]:
        """What is missing shows where it is used; this is for what is too much."""
        wanted = needed(self._engine.access)
        found: Mapping[str, frozenset[str]] | None = self._engine.keys.capabilities([*wanted])
        if found is None:
            yield Finding("rights", "this token may not ask for its rights; each is tried below")
            return
        missing = [path for path, names in wanted.items() if not names <= found[path] | _all(found[path])]
        if missing:
            raise AwayError(faults.TRANSIT_DENIED, ", ".join(missing))
        more = [f"{path}: {', '.join(sorted(found[path] - names))}" for path, names in wanted.items()]
        more = [each for each, (path, names) in zip(more, wanted.items(), strict=True) if found[path] - names]
        if more:
            yield Finding("rights", "; ".join(more), faults.TRANSIT_RIGHTS)
        else:
            yield Finding("rights", "what is needed and nothing else")

    def _key(self, told: Metadata) -> Iterator[Finding]:
        access = self._engine.access
        if told.unfit:
            raise KleidiError(faults.TRANSIT_KEY_UNFIT, ", ".join(told.unfit))
        words = f"{access.mount}/{access.key}, latest version {told.latest}"
        yield Finding(
            "key", f"{words}, decrypts from {told.min_decryption}, encrypts from {told.min_encryption}"
        )
        for fault, detail in told.warnings():
            yield Finding("key", detail, fault)
        if self._engine.keys.upserts(access.mount):
            yield Finding("mount", access.mount, faults.TRANSIT_UPSERT)

    def _bound(self, version: Version) -> Finding:
        Taking(self._engine.keys).bound_answer(version)
        return Finding("bound", "decrypts only with the associated data that it was encrypted with")

    def _named(self, version: Version) -> Finding:
        print_ = Taking(self._engine.keys).fingerprint(version)
        return Finding("named", f"version {version.number} has the fingerprint {print_}")

    def _latency(self, version: Version) -> Finding:
        def seconds(act: Callable[[], object]) -> float:
            began = time.monotonic()
            act()
            return time.monotonic() - began

        keys = self._engine.keys
        taken = [seconds(lambda: keys.encrypt(version, bytes(32), key_id.PROBE_AAD)) for _ in range(_ROUNDS)]
        words = (
            f"{statistics.median(taken) * 1000:.1f} ms, at most {max(taken) * 1000:.1f} ms of {_ROUNDS} calls"
        )
        return Finding("latency", words)


def _all(names: frozenset[str]) -> frozenset[str]:
    return frozenset({"update", "read"}) if "root" in names else frozenset()


def _inside(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith((".svc", ".svc.cluster.local", ".cluster.local"))
    return any(address in network for network in _SERVICES if network.version == address.version)
