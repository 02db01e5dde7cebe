"""The command line's end of the admin service."""

from pathlib import Path

import grpc

from appliance import faults
from appliance.faults import KleidiError
from appliance.report import Report
from proto.admin import admin_pb2, admin_pb2_grpc

_SECONDS = 5.0


def ask(socket: Path) -> Report:
    """The running server's own report. Raises E-SERVER-UNREACHABLE."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            reply = admin_pb2_grpc.AdminStub(channel).Report(admin_pb2.ReportRequest(), timeout=_SECONDS)
        except grpc.RpcError as error:
            raise KleidiError(faults.SERVER_UNREACHABLE, str(socket)) from error
    return Report(
        state=reply.state,
        reason_id=reply.reason_id,
        reason=reply.reason,
        socket=reply.socket,
        key_id=reply.key_id,
        lineage=reply.lineage,
        keyset=reply.keyset,
        generation=reply.generation,
        protection=reply.protection,
        keys=[{"key_id": key.key_id, "state": key.state} for key in reply.keys],
    )
