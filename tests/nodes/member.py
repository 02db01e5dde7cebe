"""A node as its server works on it, without the server: founder or newcomer, invitation and all."""

from dataclasses import replace

from appliance.engines.softhsm import SoftHsmEngine
from appliance.faults import Fault
from appliance.keys.engines import Engines
from appliance.nodes.cluster import Cluster
from appliance.nodes.invitation import Invitations
from appliance.ops.operations import Operations, Outcome
from appliance.ops.workshop import Workshop
from appliance.provision.policy import Policy
from appliance.volume.audit import AuditLog
from tests.fakes import FakeEngine
from tests.ops.shop import WAIT_SECONDS, Clocks, Shop
from tests.volume.house import House, refused

HOUR = 3600


class Member(Shop):
    """Anybody in a cluster; *clock* is the invitation's."""

    clock = 0.0

    def prepare(self, policy: Policy) -> None:
        self.cluster = Cluster(self.operations, policy, allow_unmounted=True)
        self.invitations = Invitations(24 * HOUR, lambda: self.clock)

    def export(self, recipient: str) -> bytes:
        with self.storage.volume.lock():
            return self.cluster.export(self.storage.open(), recipient, "0:1")[0]

    def join(self, bundle: bytes, *, dry_run: bool = False) -> Outcome:
        """As the server does it, in both of its states."""
        _, payload = self.invitations.read(bundle)
        if not self.cluster.holds_keys():
            outcome = self.cluster.enter(payload, dry_run=dry_run, by="0:1")
        else:
            with self.storage.volume.lock():
                outcome = self.cluster.update(self.storage.open(), payload, dry_run=dry_run, by="0:1")
        if not dry_run:
            self.invitations.close()
        return outcome

    def take(self, other: "Member") -> Outcome:
        return self.join(other.export(self.invitations.invite()))

    def refuses(self, bundle: bytes) -> Fault:
        """Nothing that lasts may have changed."""
        before = self.house.snapshot()
        fault = refused(lambda: self.join(bundle))
        assert self.house.snapshot() == before
        return fault


class Founder(Member):
    def __init__(self, house: House, engine: FakeEngine | SoftHsmEngine) -> None:
        super().__init__(house, engine)
        self.prepare(Policy.AUTO)


class Newcomer(Member):
    """Not provisioned: it has a volume, and waits."""

    def __init__(
        self, house: House, engine: FakeEngine | SoftHsmEngine, policy: Policy = Policy.JOIN
    ) -> None:
        self.house, self.engine = house, engine
        self.storage = house.storage()
        self.clocks = Clocks(house.volume / "ledger.json")
        self.audit = AuditLog(house.volume / "audit.jsonl")
        workshop = Workshop(self.storage, Engines.of(softhsm=engine), house.memory)
        self.operations = Operations(workshop, self.clocks, WAIT_SECONDS)
        self.prepare(policy)

    def expecting(self, lineage: str) -> "Newcomer":
        self.storage = replace(self.storage, expected_lineage=lineage)
        workshop = replace(self.operations.workshop, storage=self.storage)
        self.operations = replace(self.operations, workshop=workshop)
        self.prepare(self.cluster.policy)
        return self
