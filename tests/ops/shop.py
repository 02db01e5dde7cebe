"""A volume with its keys, an engine, and clocks that a test sets: what the verbs work on."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.engines.softhsm import SoftHsmEngine
from appliance.faults import Fault
from appliance.keys.engine import SOFTHSM
from appliance.keys.engines import Engines
from appliance.keys.found import FoundToken
from appliance.keys.keyring import Keyring, Wrapped
from appliance.keys.keyset import Key, KeySet, Moment
from appliance.ops.operations import Command, Operations, Outcome, Verb
from appliance.ops.workshop import Workshop
from appliance.volume import memory
from appliance.volume.audit import AuditLog
from appliance.volume.ledger import Ledger
from tests.fakes import FakeEngine
from tests.volume.house import House, refused

WAIT_SECONDS = 7 * 24 * 3600
DAY = 24 * 3600
SEED = b"thirty-two bytes of a seed, here"


class Node(House):
    """A house whose command finds no server, and may destroy at once."""

    @property
    def environment(self) -> dict[str, str]:
        nowhere = {"KLEIDI_ADMIN_SOCKET": f"{self.memory}/none/admin.sock", "KLEIDI_DESTROY_WAIT_HOURS": "0"}
        return super().environment | nowhere


class Clocks(Ledger):
    """A ledger whose two clocks stand still until a test moves them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.unix, self.seconds = 1_800_000_000, 0

    @property
    def served(self) -> int:
        return self.seconds

    def now(self) -> Moment:
        return Moment(self.unix, self.seconds)

    def go_on(self, seconds: int) -> None:
        self.unix += seconds
        self.seconds += seconds


class Shop:
    """Provisioned: one key, the primary one. Each command takes the lock and opens the volume, as the CLI."""

    def __init__(
        self, house: House, engine: FakeEngine | SoftHsmEngine, engines: Engines | None = None
    ) -> None:
        """*engine* is SoftHSM's or stands for it; *engines* are all that there are, when it is not alone."""
        self.house, self.engine = house, engine
        house.provisioner(engine).run()
        self.storage = house.storage()
        self.clocks = Clocks(house.volume / "ledger.json")
        self.audit = AuditLog(house.volume / "audit.jsonl")
        workshop = Workshop(self.storage, engines or Engines.of(softhsm=engine), house.memory)
        self.operations = Operations(workshop, self.clocks, WAIT_SECONDS)

    def run(self, verb: Verb, key: str = "", **options: object) -> Outcome:
        command = Command(verb, key, **{"by": "0:1", **options})  # type: ignore[arg-type]
        with self.storage.volume.lock():
            return self.operations.run(self.storage.open(), command)

    def adopt(self, found: FoundToken, annotation: str = "", *, dry_run: bool = False) -> Outcome:
        with self.storage.volume.lock():
            command = Command(Verb.ADOPT, dry_run=dry_run, by="0:1")
            return self.operations.adopt(self.storage.open(), found, annotation, command)

    def refused(self, verb: Verb, key: str = "", **options: object) -> Fault:
        """The fault that it ends with; nothing that lasts may have changed."""
        before = self.house.snapshot()
        fault = refused(lambda: self.run(verb, key, **options))
        assert self.house.snapshot() == before
        return fault

    @property
    def keyset(self) -> KeySet:
        return self.storage.open().payload.keyset

    def key(self, name: str) -> Key:
        return next(key for key in self.keyset.keys if key.name == name)

    def states(self) -> list[str]:
        return [str(key.state) for key in self.keyset.keys]

    def disabled(self) -> Key:
        """Bring v1 to DISABLED, with v2 as the primary key."""
        self.run(Verb.ROTATE)
        return self.run(Verb.DISABLE, "v1", stored=0).key

    def destroy(self, key: Key) -> Outcome:
        return self.run(Verb.DESTROY, key.name, typed=key.id, stored=0)

    @property
    def generations(self) -> list[int]:
        return self.storage.volume.older(1 << 30)

    @contextmanager
    def keyring(self) -> Iterator[Keyring]:
        """The newest generation, opened as the server opens it, every key proved."""
        opened = self.storage.open()
        with memory.room(self.house.memory) as room:
            self.engine.open(room, opened.payload.state(SOFTHSM))
            try:
                ring = Keyring(opened.payload.keyset, {SOFTHSM: self.engine})
                assert not ring.failing(SOFTHSM)
                yield ring
            finally:
                self.engine.close()

    def wrap(self) -> Wrapped:
        with self.keyring() as ring:
            return ring.wrap(SEED)

    def opens(self, *wrapped: Wrapped) -> bool:
        with self.keyring() as ring:
            return all(ring.unwrap(each.key_id, each.envelope) == SEED for each in wrapped)


def found_token(value: bytes | None = None, label: str = "kms-test") -> FoundToken:
    """Another plugin's token, as the fake engine has it: one file, the key."""
    files = {"fake-token/theirs": value or secrets.token_bytes(32)}
    return FoundToken(files, "1234", "", label)
