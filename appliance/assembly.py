"""Where the parts are joined: the only place that knows both the settings and the engine."""

import asyncio
from typing import TYPE_CHECKING

from appliance import hardening
from appliance.engine import SoftHsmEngine
from appliance.provision.observe import observe, why_not_sealed
from appliance.provision.plan import Refusal, plan
from appliance.settings import Settings
from appliance.volume.anchor import Anchor
from appliance.volume.custody import Custody
from appliance.volume.generations import Volume
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
    from appliance.service.admin import Admin
    from appliance.service.kms import KeyManagement
    from appliance.service.listener import Listener
    from appliance.service.server import serve as run

    hardening.shut()
    hardening.allow_many_files()

    async def main() -> None:
        kept = keeper(settings)
        kms, admin = KeyManagement(kept), Admin(kept, settings.socket)
        await run(
            kept,
            [
                Listener(settings.socket, settings.socket_mode, settings.socket_gid, kms.handler()),
                Listener(settings.admin_socket, 0o600, None, admin.handler()),
            ],
        )

    asyncio.run(main())
