"""A knock at the admin socket: a server that answers, or the one word for why none does."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from appliance import faults
from appliance.backup.bundle import MAX_SIZE
from appliance.faults import KleidiError
from appliance.peer import peer
from proto.admin import admin_pb2, admin_pb2_grpc

ANSWER_SECONDS = 5.0
_OPTIONS = [
    ("grpc.max_receive_message_length", 2 * MAX_SIZE),
    # Else a channel waits as long as one before it to the same path, who found nobody there.
    ("grpc.use_local_subchannel_pool", 1),
]


@contextmanager
def answering(path: Path) -> Iterator[admin_pb2_grpc.AdminStub]:
    """Somebody who answers. Raises why there is nobody, within seconds, before anything is asked of them."""
    with dialled(path) as stub:
        greet(stub, path)
        try:
            yield stub
        except grpc.RpcError as error:
            unclear = KleidiError(faults.SERVER_CUT_OFF, f"{path}: {_code(error).name}")
            raise _told(error) or unclear from error


@contextmanager
def dialled(path: Path) -> Iterator[admin_pb2_grpc.AdminStub]:
    with grpc.insecure_channel(f"unix:{path}", _OPTIONS) as channel:
        yield admin_pb2_grpc.AdminStub(channel)


def greet(stub: admin_pb2_grpc.AdminStub, path: Path) -> admin_pb2.ReportReply:
    """The one question that is answered at once in every state, and changes nothing."""
    try:
        return stub.Report(admin_pb2.ReportRequest(), timeout=ANSWER_SECONDS)
    except grpc.RpcError as error:
        raise _told(error) or _why(error, path) from error


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code = error.code() if isinstance(error, grpc.Call) else None
    return code or grpc.StatusCode.UNKNOWN


def _told(error: grpc.RpcError) -> KleidiError | None:
    """The server's own fault, by the id that its words begin with."""
    details = (error.details() if isinstance(error, grpc.Call) else "") or ""
    fault = faults.named(details.partition(":")[0])
    if fault is None:
        return None
    detail = details.removeprefix(str(fault)).strip()
    return KleidiError(fault, detail.removeprefix("(").removesuffix(")"))


def _why(error: grpc.RpcError, path: Path) -> KleidiError:
    """What it means that ours did not answer: nobody there, or one who cannot, will not, or is another."""
    try:
        pid = listener(path)
    except PermissionError:
        return denied(path)
    if pid is None:
        return KleidiError(faults.SERVER_UNREACHABLE, str(path))
    code, who = _code(error), f"{path}, process {pid}" if pid else str(path)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return KleidiError(faults.SERVER_ELSEWHERE, f"another service answers on {who}")
    if code is not grpc.StatusCode.DEADLINE_EXCEEDED and os.geteuid():
        return denied(path)
    # Ours turns root away never.
    other = pid and code is not grpc.StatusCode.DEADLINE_EXCEEDED
    return KleidiError(faults.SERVER_ELSEWHERE if other else faults.SERVER_MUTE, who)


def denied(path: Path) -> KleidiError:
    """Of this user, who may not look at *path*."""
    return KleidiError(faults.SERVER_DENIED, f"you are uid {os.geteuid()}, and {path} is not yours")


def listener(path: Path) -> int | None:
    """The process that listens there, 0 where it cannot be told; None when nobody does.

    Nothing is said and nothing waited for. Raises PermissionError where this user may not knock.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # it lives, and its queue is full
            return 0
        except PermissionError:
            raise
        except OSError:
            return None
        return peer(probe).pid
