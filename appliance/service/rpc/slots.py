"""The ways into the seal: told, added, proved, removed, and used by hand when the key file is lost."""

import asyncio
from collections.abc import Callable, Mapping

from appliance import faults
from appliance.faults import KleidiError
from appliance.ops.operations import Outcome
from appliance.ops.slots import Act, Order, SlotChanges
from appliance.service.changes import Changes
from appliance.service.keeper import Keeper
from appliance.service.rpc import calls
from appliance.service.seal_key_watch import SealKeyWatch
from appliance.slots import KINDS
from appliance.slots.listing import rows
from appliance.volume.slot import KEY_SIZE, HeldSlot
from proto.admin import admin_pb2 as pb


class Slots:
    def __init__(
        self,
        keeper: Keeper,
        changes: Changes,
        slot_changes: SlotChanges,
        seal_key_watch: SealKeyWatch,
        changed: Callable[[Outcome], pb.ChangeReply],
    ) -> None:
        self._keeper = keeper
        self._changes = changes
        self._slot_changes = slot_changes
        self._seal_key_watch = seal_key_watch
        self._changed = changed

    def methods(self) -> calls.Methods:
        return {
            "Slots": (pb.SlotsRequest, self.slots),
            "ChangeSlot": (pb.ChangeSlotRequest, self.change),
            "Unseal": (pb.UnsealRequest, self.unseal),
        }

    async def slots(self, _request: pb.SlotsRequest) -> pb.SlotsReply:
        found = await asyncio.to_thread(rows, self._slot_changes.operations.workshop.storage)
        return pb.SlotsReply(
            slots=(
                pb.Slot(
                    name=row.name,
                    kind=row.kind,
                    values=row.values,
                    tested=row.tested,
                    configured=row.configured,
                )
                for row in found
            )
        )

    async def change(self, request: pb.ChangeSlotRequest) -> pb.ChangeReply:
        order = _order(request, calls.CALLER.get())
        outcome = await self._changes.do(lambda opened: self._slot_changes.run(opened, order))
        await self._seal_key_watch.look()
        return self._changed(outcome)

    async def unseal(self, request: pb.UnsealRequest) -> pb.UnsealReply:
        await self._keeper.unseal(_held(request.kind, request.values, request.wrapping_key))
        await self._seal_key_watch.look()
        standing = self._keeper.standing()
        if not standing.serves:
            raise KleidiError(standing.reason or faults.STARTING, standing.detail)
        by = calls.CALLER.get()
        await self._changes.do(lambda opened: self._slot_changes.unsealed(opened, request.kind, by))
        return pb.UnsealReply(state=standing.state, generation=standing.generation)


def _order(request: pb.ChangeSlotRequest, by: str) -> Order:
    if request.verb not in set(Act):
        raise KleidiError(faults.REQUEST_INVALID, f"verb {request.verb!r}")
    act, key = Act(request.verb), request.wrapping_key
    return Order(
        act,
        request.name,
        new=_held(request.kind, request.values, key) if act in (Act.ADD, Act.RENEW) else None,
        proved=request.proved,
        key=_key(key) if act is Act.TEST else b"",
        force=request.force,
        reason=request.reason,
        dry_run=request.dry_run,
        by=by,
    )


def _held(kind: str, values: Mapping[str, str], key: bytes) -> HeldSlot:
    if kind not in KINDS:
        raise KleidiError(faults.REQUEST_INVALID, f"kind {kind!r}")
    return HeldSlot(kind, dict(values), _key(key))


def _key(key: bytes) -> bytes:
    if len(key) != KEY_SIZE:
        raise KleidiError(faults.REQUEST_INVALID, f"a key of {len(key)} bytes")
    return key
