"""The command line's end of the admin service."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from appliance import faults
from appliance.faults import KleidiError
from appliance.ops.operations import Command
from appliance.report import Changed, KeyRow, Report
from proto.admin import admin_pb2, admin_pb2_grpc

_ANSWER_SECONDS = 5.0
# Building and trying a generation takes tenths of seconds, on a busy node with many keys some seconds.
_CHANGE_SECONDS = 120.0


@contextmanager
def _stub(socket: Path) -> Iterator[admin_pb2_grpc.AdminStub]:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            yield admin_pb2_grpc.AdminStub(channel)
        except grpc.RpcError as error:
            raise _fault(error, socket) from error


def _fault(error: grpc.RpcError, socket: Path) -> KleidiError:
    """The server's own fault, by the id that its words begin with; else it could not be reached."""
    details = error.details() if isinstance(error, grpc.Call) else ""
    by_id = {fault.id: fault for fault in faults.every()}
    fault = by_id.get((details or "").partition(":")[0])
    if fault is None:
        return KleidiError(faults.SERVER_UNREACHABLE, str(socket))
    detail = (details or "").removeprefix(str(fault)).strip()
    return KleidiError(fault, detail.removeprefix("(").removesuffix(")"))


def ask(socket: Path) -> Report:
    """The running server's own report. Raises E-SERVER-UNREACHABLE."""
    with _stub(socket) as stub:
        reply = stub.Report(admin_pb2.ReportRequest(), timeout=_ANSWER_SECONDS)
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
        keys=[key_row(key) for key in reply.keys],
    )


def change(socket: Path, request: admin_pb2.ChangeRequest) -> Changed:
    with _stub(socket) as stub:
        return _changed(stub.Change(request, timeout=_CHANGE_SECONDS))


def adopt(socket: Path, request: admin_pb2.AdoptRequest) -> Changed:
    with _stub(socket) as stub:
        return _changed(stub.Adopt(request, timeout=_CHANGE_SECONDS))


def _changed(reply: admin_pb2.ChangeReply) -> Changed:
    return Changed(tuple(reply.said), reply.keyset, reply.generation, key_row(reply.key))


def check(socket: Path, request: admin_pb2.CheckRequest) -> admin_pb2.CheckReply:
    with _stub(socket) as stub:
        return stub.Check(request, timeout=_ANSWER_SECONDS)


def change_request(command: Command) -> admin_pb2.ChangeRequest:
    request = admin_pb2.ChangeRequest(
        verb=command.verb,
        key=command.key,
        typed=command.typed,
        expect_keyset=command.expect_keyset,
        force=command.force,
        reason=command.reason,
        dry_run=command.dry_run,
    )
    if command.stored is not None:
        request.stored = command.stored
    return request


def check_request(key: str, stored: int | None) -> admin_pb2.CheckRequest:
    request = admin_pb2.CheckRequest(key=key)
    if stored is not None:
        request.stored = stored
    return request


def key_row(key: admin_pb2.Key) -> KeyRow:
    return KeyRow(
        name=key.name,
        key_id=key.key_id,
        state=key.state,
        since=key.since,
        adopted=key.adopted,
        wrapped=key.wrapped,
        unwrapped=key.unwrapped,
    )
