"""What `kleidi usage` counted is taken for the metrics, and for nothing else: no verb relies on it."""

from appliance.service.metrics.stored import Counted, StoredObjects
from appliance.service.rpc import calls
from proto.admin import admin_pb2 as pb


class Usage:
    def __init__(self, stored: StoredObjects) -> None:
        self._stored = stored

    def methods(self) -> calls.Methods:
        return {"Counted": (pb.CountedRequest, self.counted)}

    async def counted(self, request: pb.CountedRequest) -> pb.CountedReply:
        rows = [Counted(row.resource, row.key_id, row.encrypted, row.objects) for row in request.rows]
        self._stored.take(rows)
        return pb.CountedReply()
