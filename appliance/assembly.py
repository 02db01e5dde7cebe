"""Where the parts are joined: the only place that knows both the settings and the engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from appliance import faults, hardening
from appliance.endpoint import HEALTH_NAME
from appliance.engines import registry
from appliance.faults import KleidiError
from appliance.keys.engines import Engines
from appliance.provision import note
from appliance.provision.observe import observe, why_not_sealed
from appliance.provision.plan import Refusal, plan
from appliance.slots import machine_slot
from appliance.telemetry import Counts, LogLines, Observer, Observers
from appliance.volume import memory
from appliance.volume.anchor import Anchor
from appliance.volume.audit import AuditLog
from appliance.volume.commit import Committer, Done
from appliance.volume.generations import AUDIT, LEDGER, VERIFIED, Volume
from appliance.volume.ledger import Ledger
from appliance.volume.opening import Opened, Storage
from appliance.volume.slot import HeldSlot

if TYPE_CHECKING:
    from appliance.backup.directory import Automatic
    from appliance.backup.restore import Restorer
    from appliance.backup.verified import Record
    from appliance.nodes.cluster import Cluster
    from appliance.ops.operations import Operations
    from appliance.service.keeper import Keeper
    from appliance.settings import Settings
    from appliance.volume.audit import Head


def storage(settings: Settings) -> Storage:
    return Storage(
        Volume(settings.volume_dir),
        machine_slot(settings.slot, settings.seal_key, settings),
        Anchor(settings.anchor),
        settings.expect_lineage,
        partial(_recovery, settings.recovery) if settings.recovery else None,
    )


def _recovery(recipient: str) -> HeldSlot:
    from appliance.slots import recovery

    return recovery.hold(recovery.KIND, recipient)


def waiting_for(settings: Settings) -> Refusal | None:
    """Why there is nothing to open yet; None when there is."""
    seen = observe(
        storage(settings),
        settings.provision,
        allow_unmounted=settings.allow_unmounted,
        backed_up=settings.backup_recipients is not None,
    )
    refusal = why_not_sealed(plan(seen))
    if refusal is not None and refusal.fault is faults.PROVISIONING:
        return note.read(settings.memory_dir) or refusal
    return refusal


def provision(settings: Settings) -> Done:
    """Bring the volume to its first generation if policy and evidence allow; verify it if it has one."""
    from appliance.provision.apply import Provisioner

    hardening.shut()
    provisioner = Provisioner(
        committer(settings), settings.provision, here(), settings.allow_unmounted, settings.engine
    )
    try:
        done = provisioner.run()
    except KleidiError as error:
        note.leave(settings.memory_dir, error)
        raise
    note.clear(settings.memory_dir)
    return done


def committer(settings: Settings) -> Committer:
    return Committer(storage(settings), engines(settings), settings.memory_dir, automatic_backup(settings))


def automatic_backup(settings: Settings) -> tuple[Automatic, ...]:
    """What runs ahead of every commit."""
    if settings.backup_recipients is None or settings.backup_dir is None:
        return ()
    from appliance.age.key_pairs import Recipients
    from appliance.backup.directory import Automatic

    return (Automatic(Recipients(tuple(settings.backup_recipients.split())), settings.backup_dir),)


def verified(settings: Settings) -> Record:
    from appliance.backup.verified import Record

    return Record(settings.volume_dir / VERIFIED)


def here() -> str:
    """Who makes a change that no server makes: `uid:pid`, as the server tells of its callers."""
    return f"{os.getuid()}:{os.getpid()}"


def restorer(settings: Settings) -> Restorer:
    from appliance.backup.restore import Restorer

    return Restorer(committer(settings), settings.allow_unmounted, by=here())


def audit_log(settings: Settings) -> AuditLog:
    return AuditLog(settings.volume_dir / AUDIT)


def sealed_head(settings: Settings) -> Head | None:
    """The audit log's head as the newest seal knows it; None of a seal from before it knew one. Only reads.

    Raises KleidiError when the seal cannot be opened here.
    """
    hardening.shut()
    return storage(settings).open().payload.audit


def engines(settings: Settings) -> Engines:
    """One for a process: an engine may hold a connection or a login."""
    return registry.engines(settings, settings.softhsm_module, settings.call_seconds)


def ledger(settings: Settings) -> Ledger:
    return Ledger(settings.volume_dir / LEDGER)


def operations(settings: Settings, counted: Ledger, locked: Storage, shared: Engines) -> Operations:
    """The verbs on keys; *locked* is held by whoever runs them."""
    from appliance.ops.operations import Operations
    from appliance.ops.workshop import Workshop

    return Operations(
        Workshop(locked, shared, settings.memory_dir),
        counted,
        int(settings.destroy_wait_hours * 3600),
        backed_up=verified(settings).covers,
        before=automatic_backup(settings),
        require_backup=settings.require_backup,
        engine=settings.engine,
    )


def cluster(settings: Settings, ours: Operations) -> Cluster:
    """What this node does among others."""
    from appliance.nodes.cluster import Cluster

    return Cluster(ours, settings.provision, settings.allow_unmounted)


@contextmanager
def offline(settings: Settings) -> Iterator[tuple[Opened, Operations]]:
    """The verbs while no server runs: with the volume's lock in our own hand."""
    hardening.shut()
    kept = storage(settings)
    with kept.volume.lock():
        counted = ledger(settings)
        kept.sweep()
        opened = kept.open()
        kept.forget(opened)
        counted.take_up(opened.payload.keyset)
        yield opened, operations(settings, counted, kept, engines(settings))


def keeper(settings: Settings, counted: Ledger, kept: Storage, shared: Engines, observer: Observer) -> Keeper:
    """The keeper of what is open, not yet running."""
    from appliance.service.keeper import Keeper
    from appliance.service.opened import OpenToken

    token = OpenToken(kept, shared, settings.memory_dir, lambda: waiting_for(settings), counted.take_up)
    return Keeper(
        token,
        observer,
        call_seconds=settings.call_seconds,
        queue_size=settings.queue_size,
        probe_seconds=settings.probe_seconds,
    )


def serve(ready: Callable[[], Settings]) -> None:  # noqa: PLR0915  all parts meet here
    """Answer the API server and the command line until SIGTERM; *ready* may be waited for: it comes last."""
    import asyncio

    from appliance.nodes.invitation import Invitations
    from appliance.ops.slots import SlotChanges
    from appliance.service.changes import Changes
    from appliance.service.engines.finder import Finder
    from appliance.service.engines.follower import Follower
    from appliance.service.health import Health, listeners
    from appliance.service.ledger_saver import keep_ledger
    from appliance.service.metrics.kept import Shelf
    from appliance.service.metrics.scrape import Scrape
    from appliance.service.metrics.stored import StoredObjects
    from appliance.service.rpc.admin import Admin
    from appliance.service.rpc.kms import KeyManagement
    from appliance.service.rpc.nodes import Nodes
    from appliance.service.rpc.slots import Slots
    from appliance.service.rpc.usage import Usage
    from appliance.service.seal_key_watch import SealKeyWatch
    from appliance.service.server import serve as run
    from appliance.service.sockets.listener import Listener
    from appliance.service.transports import speaks
    from appliance.service.tripwire import Tripwire
    from appliance.service.volume_watch import VolumeWatch

    settings = ready()
    hardening.shut()
    hardening.allow_many_files()

    async def main() -> None:
        counted = ledger(settings)
        # One for all: what holds the volume's lock must be what commits to it.
        locked = storage(settings)
        counts = Counts()
        observer = Observers((LogLines(), counts))
        shared = engines(settings)
        kept = keeper(settings, counted, locked, shared, observer)
        ours = replace(operations(settings, counted, locked, shared), observer=observer)
        changes = Changes(kept, ours)
        tripwire = Tripwire(kept)
        kms = KeyManagement(kept, counted, tripwire, Finder(kept, changes, here()), observer)
        admin = Admin(kept, settings.socket, changes, counted, tripwire, observer, verified(settings))
        seal_key_watch = SealKeyWatch(kept, locked)
        watch = VolumeWatch(kept, locked, changes.catch_up)
        invitations = Invitations(settings.invitation_hours * 3600, time.monotonic)
        nodes = Nodes(kept, changes, cluster(settings, ours), invitations, admin.changed)
        slots = Slots(kept, changes, SlotChanges(ours), seal_key_watch, admin.changed)
        stored = StoredObjects()
        operators = admin.service(nodes.methods(), slots.methods(), Usage(stored).methods())
        called = kms.service()
        callers = speaks(settings.transport, called)
        by_hand = speaks(settings.transport, operators, guarded=True)
        shelf = Shelf(locked, verified(settings), audit_log(settings), settings.memory_dir)
        scrape = Scrape(kept, counts, (called, operators), counted, shelf, invitations, stored)
        health = Health(kept.standing, kept.proved_ago, admin.covered, admin.status_json, scrape.answer)
        asked = health.routes()
        follower = Follower(kept, changes, "transit", faults.TRANSIT_NEWER, here())
        await run(
            kept,
            [
                Listener(settings.socket, settings.socket_mode, settings.socket_gid, callers),
                Listener(settings.admin_socket, 0o600, None, by_hand),
                *listeners(asked, settings.admin_socket.with_name(HEALTH_NAME), settings.http),
            ],
            [
                lambda: keep_ledger(kept, counted, locked.volume),
                seal_key_watch.run,
                watch.run,
                tripwire.run,
                *([follower.run] if settings.transit_follow else []),
            ],
        )

    try:
        asyncio.run(main())
    finally:
        memory.leave(settings.memory_dir)
