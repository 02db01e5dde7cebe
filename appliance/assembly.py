"""Where the parts are joined: the only place that knows both the settings and the engine."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance import hardening
from appliance.engine import SoftHsmEngine
from appliance.ops.operations import Operations
from appliance.ops.workshop import Workshop
from appliance.provision.observe import observe, why_not_sealed
from appliance.provision.plan import Refusal, plan
from appliance.settings import Settings
from appliance.volume.anchor import Anchor
from appliance.volume.audit import AuditLog
from appliance.volume.custody import Custody
from appliance.volume.generations import AUDIT, LEDGER, Volume
from appliance.volume.ledger import Ledger
from appliance.volume.opening import Opened, Storage

if TYPE_CHECKING:
    from appliance.service.keeper import Keeper


def storage(settings: Settings) -> Storage:
    return Storage(
        Volume(settings.volume_dir),
        Custody(settings.slot, settings.seal_key),
        Anchor(settings.anchor),
        settings.expect_lineage,
    )


def waiting_for(settings: Settings) -> Refusal | None:
    """Why there is nothing to open yet; None when there is."""
    seen = observe(storage(settings), settings.provision, allow_unmounted=settings.allow_unmounted)
    return why_not_sealed(plan(seen))


def provision(settings: Settings) -> Opened:
    """Bring the volume to its first generation if policy and evidence allow; verify it if it has one."""
    from appliance.provision.apply import Provisioner

    hardening.shut()
    return Provisioner(
        storage(settings),
        SoftHsmEngine(settings.softhsm_module),
        settings.memory_dir,
        settings.provision,
        allow_unmounted=settings.allow_unmounted,
    ).run()


def ledger(settings: Settings) -> Ledger:
    return Ledger(settings.volume_dir / LEDGER)


def operations(settings: Settings, counted: Ledger) -> Operations:
    """The verbs on keys; whoever runs them holds the volume's lock."""
    engine = SoftHsmEngine(settings.softhsm_module)
    return Operations(
        Workshop(storage(settings), engine, settings.memory_dir),
        AuditLog(settings.volume_dir / AUDIT),
        counted,
        int(settings.destroy_wait_hours * 3600),
    )


@contextmanager
def offline(settings: Settings) -> Iterator[tuple[Opened, Operations]]:
    """The verbs while no server runs: with the volume's lock in our own hand."""
    hardening.shut()
    kept = storage(settings)
    with kept.volume.lock():
        counted = ledger(settings)
        counted.load()
        yield kept.open(), operations(settings, counted)


def keeper(settings: Settings) -> "Keeper":
    """The token's keeper, not yet running."""
    from appliance.service.keeper import Keeper
    from appliance.service.strongroom import Strongroom

    engine = SoftHsmEngine(settings.softhsm_module)
    strongroom = Strongroom(storage(settings), engine, settings.memory_dir, lambda: waiting_for(settings))
    return Keeper(
        strongroom,
        call_seconds=settings.call_seconds,
        queue_size=settings.queue_size,
        probe_seconds=settings.probe_seconds,
    )


def serve(settings: Settings) -> None:
    """Answer the API server and the command line until SIGTERM."""
    from appliance.service import health
    from appliance.service.admin import Admin
    from appliance.service.clerk import keep_books
    from appliance.service.foreman import Foreman
    from appliance.service.kms import KeyManagement
    from appliance.service.listener import Listener
    from appliance.service.server import serve as run

    hardening.shut()
    hardening.allow_many_files()

    async def main() -> None:
        kept, counted = keeper(settings), ledger(settings)
        foreman = Foreman(kept, operations(settings, counted))
        kms = KeyManagement(kept, counted)
        admin = Admin(kept, settings.socket, foreman, counted)
        await run(
            kept,
            [
                Listener(settings.socket, settings.socket_mode, settings.socket_gid, kms.handler()),
                Listener(settings.admin_socket, 0o600, None, admin.handler()),
                health.Health(settings.admin_socket.with_name(health.NAME), kept.standing),
            ],
            [keep_books(kept, counted)],
        )

    asyncio.run(main())
