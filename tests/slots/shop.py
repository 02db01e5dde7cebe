"""A shop whose slots are changed as the command line does it, and opened with one secret alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from appliance.age.key_pairs import Identities
from appliance.engines.softhsm import SoftHsmEngine
from appliance.faults import Fault
from appliance.ops.operations import Outcome
from appliance.ops.slots import Act, Order, SlotChanges
from appliance.slots import recovery
from appliance.slots.keyfile import KeyFile
from appliance.slots.listing import Row, rows
from appliance.slots.passphrase import Passphrase
from appliance.slots.recovery import Recovery
from appliance.volume.custody import Custody
from appliance.volume.payload import Payload
from appliance.volume.seal import unseal
from appliance.volume.slot import HeldSlot
from tests.fakes import FakeEngine
from tests.ops.shop import Shop
from tests.volume.house import House, refused

PHRASE = "correct horse battery staple"


class Secret(Protocol):
    def recall(self, values: Mapping[str, str]) -> HeldSlot: ...


class SlotShop(Shop):
    def __init__(self, house: House, engine: FakeEngine | SoftHsmEngine) -> None:
        super().__init__(house, engine)
        self.slot_changes = SlotChanges(self.operations)

    def order(self, act: Act, name: str, **options: object) -> Outcome:
        with self.storage.volume.lock():
            return self.slot_changes.run(self.storage.open(), Order(act, name, **{"by": "0:1", **options}))  # type: ignore[arg-type]

    def denied(self, act: Act, name: str, **options: object) -> Fault:
        """The fault that it ends with; nothing that lasts may have changed."""
        before = self.house.snapshot()
        fault = refused(lambda: self.order(act, name, **options))
        assert self.house.snapshot() == before
        return fault

    def add_passphrase(self, name: str = "passphrase") -> Passphrase:
        secret = Passphrase(PHRASE)
        self.order(Act.ADD, name, new=secret.hold(name), proved=True)
        return secret

    def add_recovery(self, name: str = "recovery") -> Recovery:
        identities = Identities.generate()
        new = recovery.hold(name, identities.recipients.names[0])
        self.order(Act.ADD, name, new=new)
        return Recovery(identities)

    def add_file(self, path: Path, name: str = "second") -> KeyFile:
        custody = Custody("file", path)
        custody.create()
        secret = KeyFile(custody)
        self.order(Act.ADD, name, new=secret.hold(name), proved=True)
        return secret

    def prove(self, name: str, secret: Secret) -> Outcome:
        return self.order(Act.TEST, name, key=secret.recall(self.row(name).values).wrapping_key)

    def row(self, name: str) -> Row:
        return next(row for row in rows(self.storage) if row.name == name)

    def names(self) -> list[str]:
        return [row.name for row in rows(self.storage)]

    def opened_with(self, secret: Secret, name: str) -> Payload:
        """The newest generation, opened with nothing but this."""
        sealed = self.storage.volume.read(self.generations[-1])
        return Payload.from_bytes(unseal(sealed, [secret.recall(self.row(name).values)])[1])
