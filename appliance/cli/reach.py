"""Whom a command turns to: the running server; the volume itself only while nobody serves it."""

import os
from collections.abc import Callable
from typing import TypeVar

from appliance import assembly, faults, holder
from appliance.cli.stopped import from_disk, untold
from appliance.client.report import Report
from appliance.faults import KleidiError
from appliance.ops.operations import Operations
from appliance.settings import Settings
from appliance.volume.opening import Opened

T = TypeVar("T")


def answered(settings: Settings, ask: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """What the server answers, or *otherwise* when nobody listens.

    One that listens and does not answer is no leave to work beside it: that is raised, as are its refusals.
    Nor is one that listens elsewhere, or a volume that this user may not look at.
    """
    try:
        return ask()
    except KleidiError as error:
        if error.fault is not faults.SERVER_UNREACHABLE:
            raise
    if hindrance := _shut_out(settings) or _elsewhere(settings, _holder(settings)):
        raise hindrance
    return otherwise()


def carried_out(settings: Settings, ask: Callable[[], T], work: Callable[[Opened, Operations], T]) -> T:
    """What the server answers, or *work* on the volume, with its lock in our own hand."""

    def by_hand() -> T:
        _demand_sealed(settings)
        with assembly.offline(settings) as (opened, operations):
            return work(opened, operations)

    return answered(settings, ask, by_hand)


def report(settings: Settings) -> Report:
    """How things stand: asked, or read from the volume."""
    from appliance.client import admin

    try:
        return admin.ask(settings.admin_socket)
    except KleidiError as error:
        unanswered = error
        if error.fault is faults.SERVER_UNREACHABLE:
            # The socket alone is no proof for a verb: this volume may be a copy beside a live one.
            who = _holder(settings) or holder.of_socket(settings.socket)
            unanswered = _shut_out(settings) or _elsewhere(settings, who) or error
        if unanswered.fault is faults.SERVER_DENIED:
            return untold(str(settings.socket), unanswered)
        waiting_for = assembly.waiting_for(settings)
        return from_disk(assembly.storage(settings), str(settings.socket), waiting_for, unanswered)


def _demand_sealed(settings: Settings) -> None:
    """Raise why there is nothing to work on, in the same words as `kleidi status`."""
    refusal = assembly.waiting_for(settings)
    if refusal is None:
        return
    if refusal.fault is faults.PROVISIONING:  # nobody is making one
        raise KleidiError(faults.SERVER_UNREACHABLE, "the volume is empty and may get its first key")
    raise KleidiError(refusal.fault, refusal.detail)


def _shut_out(settings: Settings) -> KleidiError | None:
    """Why this user can tell nothing of the volume; None for root, and for whoever may read it."""
    from appliance.client.knock import denied

    volume = settings.volume_dir
    if os.geteuid() == 0:
        return None
    try:
        volume.stat()
    except PermissionError:
        return denied(volume)
    except OSError:
        return None
    return None if os.access(volume, os.R_OK | os.X_OK) else denied(volume)


def _holder(settings: Settings) -> str:
    return assembly.storage(settings).volume.holder()


def _elsewhere(settings: Settings, who: str) -> KleidiError | None:
    """That somebody is at work here, although nobody listens where we asked."""
    if not who:
        return None
    detail = f"{who} holds the volume or its socket; nobody listens on {settings.admin_socket}"
    return KleidiError(faults.SERVER_ELSEWHERE, detail)
