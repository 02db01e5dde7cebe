"""Whom a command turns to: the running server; the volume itself only while nobody serves it."""

from collections.abc import Callable
from typing import TypeVar

from appliance import assembly, faults
from appliance.cli.stopped import from_disk
from appliance.client.report import Report
from appliance.faults import KleidiError
from appliance.ops.operations import Operations
from appliance.settings import Settings
from appliance.volume.opening import Opened

T = TypeVar("T")


def answered(ask: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """What the server answers, or *otherwise* when nobody listens.

    One that listens and does not answer is no leave to work beside it: that is raised, as are its refusals.
    """
    try:
        return ask()
    except KleidiError as error:
        if error.fault is not faults.SERVER_UNREACHABLE:
            raise
    return otherwise()


def carried_out(settings: Settings, ask: Callable[[], T], work: Callable[[Opened, Operations], T]) -> T:
    """What the server answers, or *work* on the volume, with its lock in our own hand."""

    def by_hand() -> T:
        with assembly.offline(settings) as (opened, operations):
            return work(opened, operations)

    return answered(ask, by_hand)


def report(settings: Settings) -> Report:
    """How things stand: asked, or read from the volume."""
    from appliance.client import admin

    try:
        return admin.ask(settings.admin_socket)
    except KleidiError as error:
        storage = assembly.storage(settings)
        unanswered = _elsewhere(error, storage.volume.holder(), settings)
        return from_disk(storage, str(settings.socket), assembly.waiting_for(settings), unanswered)


def _elsewhere(error: KleidiError, holder: str, settings: Settings) -> KleidiError:
    if error.fault is not faults.SERVER_UNREACHABLE or not holder:
        return error
    detail = f"{holder} holds the volume; nobody listens on {settings.admin_socket}"
    return KleidiError(faults.SERVER_ELSEWHERE, detail)
