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
    if hindrance := _shut_out(settings) or _elsewhere(settings):
        raise hindrance
    return otherwise()


def carried_out(settings: Settings, ask: Callable[[], T], work: Callable[[Opened, Operations], T]) -> T:
    """What the server answers, or *work* on the volume, with its lock in our own hand."""

    def by_hand() -> T:
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
            unanswered = _shut_out(settings) or _elsewhere(settings) or error
        if unanswered.fault is faults.SERVER_DENIED:
            return untold(str(settings.socket), unanswered)
        waiting_for = assembly.waiting_for(settings)
        return from_disk(assembly.storage(settings), str(settings.socket), waiting_for, unanswered)


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


def _elsewhere(settings: Settings) -> KleidiError | None:
    """That somebody is at work here, although nobody listens where we asked."""
    who = assembly.storage(settings).volume.holder() or holder.of_socket(settings.socket)
    if not who:
        return None
    detail = f"{who} holds the volume or its socket; nobody listens on {settings.admin_socket}"
    return KleidiError(faults.SERVER_ELSEWHERE, detail)
