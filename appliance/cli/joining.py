"""Invitation and join in one go: by the server where one answers, else by this process on the volume.

So a control-plane node has its keys before there is a kubelet. A new kubelet asks its own API server for the
bootstrap token, a Secret, and kubeadm waits for it no longer than five minutes.
"""

import time
from collections.abc import Callable

from appliance import assembly, faults, hardening
from appliance.cli import reach
from appliance.client.report import Changed
from appliance.faults import KleidiError
from appliance.nodes.invitation import Invitations
from appliance.ops.operations import Outcome
from appliance.provision.policy import Policy
from appliance.settings import Settings
from appliance.volume.generations import UNFIT
from appliance.volume.payload import Payload

# Waits for what another node exports to the recipient, and returns it.
Courier = Callable[[str], bytes]


def join(settings: Settings, courier: Courier, *, dry_run: bool) -> Changed:
    """Raises what either half refuses with, as early as it can be known: before *courier* is sent."""
    from appliance.client import admin

    recipient = reach.answered(settings, lambda: admin.invite(settings.admin_socket).recipient, str)
    if recipient:
        return admin.join(settings.admin_socket, courier(recipient), dry_run=dry_run)
    # From here on there is an identity in this process's memory.
    hardening.shut()
    if settings.provision is Policy.AUTO:
        raise KleidiError(faults.JOIN_AUTO)
    volume = assembly.storage(settings).volume
    state = volume.survey().state
    if state in UNFIT:
        raise KleidiError(UNFIT[state], str(settings.volume_dir))
    with volume.lock():
        pass  # it is nobody's; while we wait it is not held, for a server may start
    invitations = Invitations(settings.invitation_hours * 3600, time.monotonic)
    _, payload = invitations.read(courier(invitations.invite()))
    return Changed.of(_taken(settings, payload, dry_run=dry_run))


def _taken(settings: Settings, payload: Payload, *, dry_run: bool) -> Outcome:
    by = assembly.here()
    kept = assembly.storage(settings)
    counted, engines = assembly.ledger(settings), assembly.engines(settings)
    ours = assembly.cluster(settings, assembly.operations(settings, counted, kept, engines))
    if not ours.holds_keys():
        return ours.enter(payload, dry_run=dry_run, by=by)
    with assembly.offline(settings) as (opened, operations):
        cluster = assembly.cluster(settings, operations)
        return cluster.update(opened, payload, dry_run=dry_run, by=by)
