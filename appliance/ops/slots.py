"""Adding, proving and removing slots. Each change is one committed generation; no key is touched."""

import logging
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from appliance import faults
from appliance.faults import KleidiError
from appliance.logs import event
from appliance.ops.operations import Operations, Outcome
from appliance.volume.commit import Change
from appliance.volume.opening import Opened
from appliance.volume.seal import unseal
from appliance.volume.slot import BOUND, HeldSlot

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Act(StrEnum):
    ADD = "add"
    TEST = "test"
    REMOVE = "remove"
    RENEW = "renew"


@dataclass(frozen=True)
class Order:
    """What was asked for.

    Add and renew: *new*, *proved* when its key was derived a second time, from the public values alone.
    Test: *key* as derived from the secret just now. *force* removes what the appliance opens by itself with.
    """

    act: Act
    name: str
    new: HeldSlot | None = None
    proved: bool = False
    key: bytes = field(default=b"", repr=False)
    force: bool = False
    reason: str = ""
    dry_run: bool = False
    by: str = ""


@dataclass(frozen=True)
class SlotChanges:
    """Needs the volume's lock, held by whoever calls."""

    operations: Operations

    def run(self, current: Opened, order: Order) -> Outcome:
        """Do it, or raise KleidiError with nothing changed."""
        self.operations.committer.demand(current)
        match order.act:
            case Act.ADD:
                return self._add(current, order)
            case Act.TEST:
                return self._test(current, order)
            case Act.REMOVE:
                return self._remove(current, order)
            case Act.RENEW:
                return self._renew(current, order)

    def unsealed(self, current: Opened, kind: str, by: str) -> None:
        """Write down who opened it by hand. That this cannot be written is no reason to close it again."""
        try:
            self.operations.workshop.storage.note(current, "unseal", by, kind=kind)
        except KleidiError as error:
            event(logging.WARNING, "unseal without a line in the audit log", detail=str(error), by=by)

    def _add(self, current: Opened, order: Order) -> Outcome:
        slots = current.payload.slots
        if order.new is None or not _NAME.fullmatch(order.name) or order.name in map(name_of, slots):
            raise KleidiError(faults.SLOT_NAME, order.name)
        slot = replace(order.new, values={**order.new.values, "name": order.name})
        said = "opens the seal" if order.proved else "is not tested yet: see `kleidi slot test`"
        # The commit opens the sealed bytes with the new slot's key before it is one.
        return self._commit(current, (*slots, self._marked(slot) if order.proved else slot), order, said)

    def _test(self, current: Opened, order: Order) -> Outcome:
        found = _find(current, order.name)
        sealed = self.operations.workshop.storage.volume.read(current.header.generation)
        try:
            unseal(sealed, [replace(found, wrapping_key=order.key)])
        except KleidiError as error:
            if error.fault is not faults.SEAL_KEY_WRONG:
                raise
            raise KleidiError(faults.SLOT_WRONG, order.name) from error
        slots = tuple(self._marked(slot) if slot is found else slot for slot in current.payload.slots)
        return self._commit(current, slots, order, "opens the seal")

    def _renew(self, current: Opened, order: Order) -> Outcome:
        """The same slot, made anew, in one generation."""
        found = _find(current, order.name)
        if order.new is None or order.new.kind != found.kind:
            raise KleidiError(faults.SLOT_NAME, f"{order.name} is of kind {found.kind}")
        new = replace(order.new, values={**order.new.values, "name": order.name})
        new = self._marked(new) if order.proved else new
        slots = tuple(new if slot is found else slot for slot in current.payload.slots)
        if not any(tested(slot) for slot in slots):
            raise KleidiError(faults.SLOT_LAST, order.name)
        return self._commit(current, slots, order, "is made anew")

    def _remove(self, current: Opened, order: Order) -> Outcome:
        """Never the last one that was tested, nor the last one of another machine, whatever the force."""
        found = _find(current, order.name)
        left = tuple(slot for slot in current.payload.slots if slot is not found)
        custody = self.operations.workshop.storage.custody
        try:
            key = custody.load()
            by_itself = next((slot for slot in current.payload.slots if key.fits(slot)), None)
            needed = found is by_itself
        except KleidiError:
            # A key file that is away for a while is no reason to take its slot away.
            by_itself, needed = None, found.kind == custody.kind
        usable = [slot for slot in left if tested(slot) or slot is by_itself]
        if not usable:
            raise KleidiError(faults.SLOT_LAST, order.name)
        if all(slot.kind in BOUND for slot in usable):
            raise KleidiError(faults.SLOT_ALONE, order.name)
        if needed and not order.force:
            raise KleidiError(faults.SLOT_IN_USE, order.name)
        return self._commit(current, left, order, "is gone")

    def _marked(self, slot: HeldSlot) -> HeldSlot:
        return replace(slot, values={**slot.values, "tested": str(self.operations.ledger.now().unix)})

    def _commit(self, current: Opened, slots: tuple[HeldSlot, ...], order: Order, said: str) -> Outcome:
        primary = current.payload.keyset.primary
        sentence = f"slot {order.name} {said}"
        if order.dry_run:
            return Outcome(current, primary, (f"dry run: {sentence}",))
        told: dict[str, object] = {"slot": order.name, "reason": order.reason}
        if order.force:
            told["force"] = True
        # A slot that was taken away, or made anew, must not open the generations before.
        change = Change(f"slot-{order.act}", order.by, told, purges=order.act in (Act.REMOVE, Act.RENEW))
        done = self.operations.committer.commit(current, replace(current.payload, slots=slots), change)
        return Outcome(done.opened, primary, (sentence, *done.said))


def name_of(slot: HeldSlot) -> str:
    """The first generation's slot has no name of its own."""
    return slot.values.get("name", slot.kind)


def tested(slot: HeldSlot) -> bool:
    """Whether its secret ever opened it."""
    return "tested" in slot.values


def _find(current: Opened, name: str) -> HeldSlot:
    for slot in current.payload.slots:
        if name_of(slot) == name:
            return slot
    known = ", ".join(map(name_of, current.payload.slots))
    raise KleidiError(faults.SLOT_NO_SUCH, f"{name}; there are {known}")
