"""What a server stands on: a real volume below a directory of its own, and a fake engine to steer."""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from appliance.backup.verified import Record
from appliance.endpoint import HEALTH_NAME
from appliance.keys.engine import SOFTHSM
from appliance.keys.engines import Engines
from appliance.keys.envelope import Envelope, associated_data
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.nodes.cluster import Cluster
from appliance.nodes.invitation import Invitations
from appliance.ops.operations import Operations
from appliance.ops.workshop import Workshop
from appliance.provision.plan import Refusal
from appliance.provision.policy import Policy
from appliance.service.changes import Changes
from appliance.service.engines.finder import Finder
from appliance.service.health import Health, listeners
from appliance.service.keeper import Keeper
from appliance.service.metrics.kept import Shelf
from appliance.service.metrics.scrape import Scrape
from appliance.service.metrics.stored import StoredObjects
from appliance.service.opened import OpenToken
from appliance.service.rpc.admin import Admin
from appliance.service.rpc.kms import KeyManagement
from appliance.service.rpc.nodes import Nodes
from appliance.service.rpc.usage import Usage
from appliance.service.seal_key_watch import SealKeyWatch
from appliance.service.server import Work
from appliance.service.sockets.binding import Listens
from appliance.service.sockets.listener import Listener
from appliance.service.transports import NGHTTP2, speaks
from appliance.service.tripwire import Tripwire
from appliance.service.volume_watch import VolumeWatch
from appliance.telemetry import Counts, LogLines, Observers
from appliance.volume.anchor import Anchor
from appliance.volume.audit import AuditLog
from appliance.volume.custody import Custody
from appliance.volume.generations import AUDIT, VERIFIED, Volume
from appliance.volume.ledger import Ledger
from appliance.volume.opening import Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, seal
from tests.fakes import FakeCipher, FakeEngine, FakeRemote

LINEAGE = "0123456789ab"
LONG_SECONDS = 60.0
_STATES = (KeyState.DESTROYED, KeyState.DISABLED, KeyState.RETIRED, KeyState.PRIMARY, KeyState.STAGED)


class Options(TypedDict, total=False):
    """What a test sets otherwise than most; times are long so that none runs out by chance."""

    call_seconds: float
    queue_size: int
    probe_seconds: float
    mode: int
    gid: int
    http: str


class Scene:
    """Everything below *root*, a directory in memory with a short path."""

    def __init__(self, root: Path, *, waits: bool = True, transport: str = NGHTTP2) -> None:
        self.root = root
        self.transport = transport
        self.socket = root / "run" / "kms.sock"
        self.admin = root / "admin" / "admin.sock"
        self.health = self.admin.with_name(HEALTH_NAME)
        self.engine = FakeEngine(waits=waits)
        self.remote = FakeRemote()
        self.engines = Engines.of(softhsm=self.engine, transit=self.remote)
        self.waiting_for: Refusal | None = None
        self.volume = Volume(root / "volume")
        self.custody = Custody("file", root / "etc" / "seal.key")
        self.anchor = Anchor(root / "etc" / "anchor.json")
        self.expected_lineage: str | None = None
        self.secrets: list[str] = []
        self._maker = FakeCipher()
        for directory in (self.socket.parent, self.admin.parent, self.volume.path, root / "etc"):
            directory.mkdir(mode=0o700, exist_ok=True)

    def seal(self, states: Sequence[KeyState] = _STATES) -> None:
        """Give the volume its first generation, with a key in each of *states*."""
        keys = []
        for version, state in enumerate(states, 1):
            object_id = secrets.token_hex(16)
            keys.append(Key.born(LINEAGE, version, state, self._maker.generate(object_id)))
        self.keyset = KeySet(LINEAGE, tuple(keys))
        held = (key.object_id for key in keys if key.state is not KeyState.DESTROYED)
        self.engine.keys = {object_id: self._maker.keys[object_id] for object_id in held}
        kept = self.engine.state()
        self.engine.close()
        self.custody.create()
        seal_key = self.custody.load()
        self.secrets += [*(data.hex() for data in kept.files.values()), seal_key.secret.hex()]
        self.secrets += [key.hex() for key in self._maker.keys.values()]
        payload = Payload(self.keyset, {SOFTHSM: kept}, (seal_key.hold(),))
        with self.volume.lock():
            self.volume.commit(1, seal(Header(LINEAGE, 1), payload.to_bytes(), payload.slots))

    def seal_one(self) -> None:
        """In place of what is there, a first generation whose only key is the primary one."""
        for path in self.volume.path.glob("generation-*"):
            path.unlink()
        self.seal([KeyState.PRIMARY])

    def key(self, state: KeyState = KeyState.PRIMARY) -> Key:
        return next(key for key in self.keyset.keys if key.state is state)

    def wrap(self, state: KeyState, plaintext: bytes) -> bytes:
        """An envelope as the key that is now in *state* made it when it was primary."""
        key = self.key(state)
        return Envelope(self._maker.wrap(key.object_id, plaintext, associated_data(key.id))).to_bytes()

    def assemble(self, **options: Unpack[Options]) -> tuple[Keeper, list[Listens], list[Work]]:
        """Join the parts as the assembly does. Needs a running event loop."""
        storage = Storage(self.volume, self.custody, self.anchor, self.expected_lineage)
        ledger = Ledger(self.volume.path / "ledger.json")
        token = OpenToken(
            storage, self.engines, self.root / "memory", lambda: self.waiting_for, ledger.take_up
        )
        counts, record = Counts(), Record(self.volume.path / VERIFIED)
        observer = Observers((LogLines(), counts))
        keeper = Keeper(
            token,
            observer,
            call_seconds=options.get("call_seconds", LONG_SECONDS),
            queue_size=options.get("queue_size", 1024),
            probe_seconds=options.get("probe_seconds", LONG_SECONDS),
        )
        workshop = Workshop(storage, self.engines, self.root / "memory")
        operations = Operations(workshop, ledger, 0)
        changes, tripwire = Changes(keeper, operations), Tripwire(keeper)
        kms = KeyManagement(keeper, ledger, tripwire, Finder(keeper, changes, "0:1"), observer)
        admin = Admin(keeper, self.socket, changes, ledger, tripwire, observer, record)
        cluster = Cluster(operations, Policy.JOIN, allow_unmounted=True)
        invitations = Invitations(LONG_SECONDS, time.monotonic)
        nodes = Nodes(keeper, changes, cluster, invitations, admin.changed)
        stored = StoredObjects()
        called, operators = kms.service(), admin.service(nodes.methods(), Usage(stored).methods())
        callers = speaks(self.transport, called)
        by_hand = speaks(self.transport, operators, guarded=True)
        shelf = Shelf(storage, record, AuditLog(self.volume.path / AUDIT), self.root / "memory")
        scrape = Scrape(keeper, counts, (called, operators), ledger, shelf, invitations, stored)
        health = Health(keeper.standing, keeper.proved_ago, admin.covered, admin.status_json, scrape.answer)
        asked = health.routes()
        return (
            keeper,
            [
                Listener(self.socket, options.get("mode", 0o660), options.get("gid"), callers),
                Listener(self.admin, 0o600, None, by_hand),
                *listeners(asked, self.health, options.get("http", "")),
            ],
            [
                VolumeWatch(keeper, storage, changes.catch_up).run,
                SealKeyWatch(keeper, storage).run,
                tripwire.run,
            ],
        )
