"""What this node does among others: it invites, hands its keys out, and takes what was brought."""

import asyncio
from collections.abc import Callable

from appliance.nodes.cluster import Cluster
from appliance.nodes.invitation import Invitations
from appliance.ops.operations import Outcome
from appliance.service.changes import Changes
from appliance.service.keeper import Keeper
from appliance.service.rpc import calls
from appliance.volume.payload import Payload
from proto.admin import admin_pb2 as pb


class Nodes:
    def __init__(
        self,
        keeper: Keeper,
        changes: Changes,
        cluster: Cluster,
        invitations: Invitations,
        changed: Callable[[Outcome], pb.ChangeReply],
    ) -> None:
        self._keeper = keeper
        self._changes = changes
        self._cluster = cluster
        self._invitations = invitations
        self._changed = changed

    def methods(self) -> calls.Methods:
        return {
            "Invite": (pb.InviteRequest, self.invite),
            "Export": (pb.ExportRequest, self.export),
            "Join": (pb.JoinRequest, self.join),
        }

    async def invite(self, _request: pb.InviteRequest) -> pb.InviteReply:
        return pb.InviteReply(recipient=self._invitations.invite(), seconds=int(self._invitations.seconds))

    async def export(self, request: pb.ExportRequest) -> pb.ExportReply:
        by = calls.CALLER.get()
        bundle, outcome = await self._changes.do(
            lambda opened: self._cluster.export(opened, request.recipient, by)
        )
        self._keeper.revise(outcome.opened)
        keyset = outcome.opened.payload.keyset.hash
        generation = outcome.opened.header.generation
        return pb.ExportReply(bundle=bundle, keyset=keyset, generation=generation)

    async def join(self, request: pb.JoinRequest) -> pb.ChangeReply:
        _header, payload = await asyncio.to_thread(self._invitations.read, request.bundle)
        outcome = await self._take(payload, dry_run=request.dry_run)
        if not request.dry_run:
            self._invitations.close()
        return self._changed(outcome)

    async def _take(self, payload: Payload, *, dry_run: bool) -> Outcome:
        by = calls.CALLER.get()
        if self._cluster.holds_keys():
            return await self._changes.do(
                lambda opened: self._cluster.update(opened, payload, dry_run=dry_run, by=by)
            )
        return await self._changes.begin(lambda: self._cluster.enter(payload, dry_run=dry_run, by=by))
