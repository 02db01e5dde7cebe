"""The admin service: what the command line asks of the running server."""

from pathlib import Path

import grpc

from appliance.service import calls
from appliance.service.keeper import Keeper
from proto.admin import admin_pb2 as pb


class Admin:
    def __init__(self, keeper: Keeper, socket: Path) -> None:
        self._keeper = keeper
        self._socket = socket

    def handler(self) -> grpc.GenericRpcHandler:
        return calls.service("kleidi.admin.v1.Admin", {"Report": (pb.ReportRequest, self.report)})

    async def report(self, _request: pb.ReportRequest) -> pb.ReportReply:
        standing = self._keeper.standing()
        reply = pb.ReportReply(
            state=standing.state,
            socket=str(self._socket),
            generation=standing.generation,
            protection=standing.protection,
        )
        if standing.reason is not None:
            detail = f" ({standing.detail})" if standing.detail else ""
            reply.reason_id, reply.reason = standing.reason.id, f"{standing.reason}{detail}"
        if standing.keyset is not None:
            reply.key_id = standing.keyset.primary.id
            reply.lineage, reply.keyset = standing.keyset.lineage, standing.keyset.hash
            reply.keys.extend(pb.Key(key_id=key.id, state=key.state) for key in standing.keyset.keys)
        return reply
