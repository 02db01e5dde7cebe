"""The command line's end of the admin service.

Each raises why nobody answers a first question within ANSWER_SECONDS (E-SERVER-UNREACHABLE, -MUTE, -DENIED,
-ELSEWHERE), and nothing more was asked of them then. Behind it come the server's own faults, or
E-SERVER-CUT-OFF when no answer comes: within ANSWER_SECONDS to what only looks, _CHANGE_SECONDS to the rest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance.client.keys import KeyCheck
from appliance.client.knock import ANSWER_SECONDS, answering, dialled, greet
from appliance.client.reading import changed, read_report
from appliance.client.report import Changed, Report
from appliance.keys.found import FoundToken
from appliance.ops.check import Condition, Verdict
from appliance.ops.operations import Command
from appliance.ops.slots import Order
from appliance.volume.slot import HeldSlot
from proto.admin import admin_pb2

# Building and trying a generation takes tenths of seconds, on a busy node with many keys some seconds.
_CHANGE_SECONDS = 120.0


def ask(socket: Path) -> Report:
    """The running server's own report. Raises why there is none: E-SERVER-UNREACHABLE and its kin."""
    with dialled(socket) as stub:
        return read_report(greet(stub, socket))


def change(socket: Path, request: admin_pb2.ChangeRequest) -> Changed:
    with answering(socket) as stub:
        return changed(stub.Change(request, timeout=_CHANGE_SECONDS))


def adopt(socket: Path, request: admin_pb2.AdoptRequest) -> Changed:
    with answering(socket) as stub:
        return changed(stub.Adopt(request, timeout=_CHANGE_SECONDS))


def take_over_request(engine: str, name: str, key_id: str, *, dry_run: bool) -> admin_pb2.AdoptRequest:
    return admin_pb2.AdoptRequest(engine=engine, name=name, key_id=key_id, dry_run=dry_run)


def bundle(socket: Path, request: admin_pb2.BundleRequest) -> admin_pb2.BundleReply:
    with answering(socket) as stub:
        return stub.Bundle(request, timeout=_CHANGE_SECONDS)


def check(socket: Path, request: admin_pb2.CheckRequest) -> KeyCheck:
    with answering(socket) as stub:
        reply = stub.Check(request, timeout=ANSWER_SECONDS)
    return KeyCheck(
        reply.key_id,
        [Condition(one.name, Verdict(one.verdict), one.text) for one in reply.conditions],
        reply.may_disable,
        reply.disable_why,
        reply.may_destroy,
        reply.destroy_why,
    )


def change_request(command: Command) -> admin_pb2.ChangeRequest:
    request = admin_pb2.ChangeRequest(
        verb=command.verb,
        key=command.key,
        typed=command.typed,
        expect_keyset=command.expect_keyset,
        force=command.force,
        without_backup=command.without_backup,
        reason=command.reason,
        dry_run=command.dry_run,
        engine=command.engine,
    )
    if command.stored is not None:
        request.stored = command.stored
    return request


def check_request(key: str, stored: int | None) -> admin_pb2.CheckRequest:
    request = admin_pb2.CheckRequest(key=key)
    if stored is not None:
        request.stored = stored
    return request


def adopt_request(found: FoundToken, annotation: str, *, dry_run: bool) -> admin_pb2.AdoptRequest:
    return admin_pb2.AdoptRequest(
        files=found.files,
        pin=found.pin,
        token_label=found.token_label,
        key_label=found.key_label,
        annotation=annotation,
        dry_run=dry_run,
    )


def bundle_request(recipients: Iterable[str], reason: str, *, dry_run: bool) -> admin_pb2.BundleRequest:
    return admin_pb2.BundleRequest(recipients=recipients, reason=reason, dry_run=dry_run)


def slot_request(order: Order) -> admin_pb2.ChangeSlotRequest:
    return admin_pb2.ChangeSlotRequest(
        verb=order.act,
        name=order.name,
        kind=order.new.kind if order.new else "",
        values=order.new.values if order.new else {},
        wrapping_key=order.new.wrapping_key if order.new else order.key,
        proved=order.proved,
        force=order.force,
        reason=order.reason,
        dry_run=order.dry_run,
    )


def unseal_request(held: HeldSlot) -> admin_pb2.UnsealRequest:
    return admin_pb2.UnsealRequest(kind=held.kind, values=held.values, wrapping_key=held.wrapping_key)


def counted(socket: Path, objects: Mapping[tuple[str, str, bool], int]) -> None:
    """Hand over how many *objects* of a resource are under a key id, and whether they are encrypted."""
    request = admin_pb2.CountedRequest()
    for (resource, key_id, encrypted), number in objects.items():
        request.rows.add(resource=resource, key_id=key_id, encrypted=encrypted, objects=number)
    with answering(socket) as stub:
        stub.Counted(request, timeout=ANSWER_SECONDS)


def invite(socket: Path) -> admin_pb2.InviteReply:
    with answering(socket) as stub:
        return stub.Invite(admin_pb2.InviteRequest(), timeout=ANSWER_SECONDS)


def export(socket: Path, recipient: str) -> admin_pb2.ExportReply:
    with answering(socket) as stub:
        return stub.Export(admin_pb2.ExportRequest(recipient=recipient), timeout=_CHANGE_SECONDS)


def join(socket: Path, bundle: bytes, *, dry_run: bool) -> Changed:
    with answering(socket) as stub:
        request = admin_pb2.JoinRequest(bundle=bundle, dry_run=dry_run)
        return changed(stub.Join(request, timeout=_CHANGE_SECONDS))


def slots(socket: Path) -> admin_pb2.SlotsReply:
    with answering(socket) as stub:
        return stub.Slots(admin_pb2.SlotsRequest(), timeout=ANSWER_SECONDS)


def change_slot(socket: Path, request: admin_pb2.ChangeSlotRequest) -> Changed:
    with answering(socket) as stub:
        return changed(stub.ChangeSlot(request, timeout=_CHANGE_SECONDS))


def unseal(socket: Path, request: admin_pb2.UnsealRequest) -> admin_pb2.UnsealReply:
    with answering(socket) as stub:
        return stub.Unseal(request, timeout=_CHANGE_SECONDS)
