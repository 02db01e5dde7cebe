"""Looking at the volume and what surrounds it, without touching anything."""

from appliance import faults
from appliance.faults import KleidiError
from appliance.provision.plan import Observation, Plan, Policy, Refusal, Step
from appliance.volume.anchor import Memory
from appliance.volume.opening import Storage


def observe(storage: Storage, policy: Policy, *, allow_unmounted: bool) -> Observation:
    remembered, readable = _anchor(storage)
    return Observation(
        policy=policy,
        survey=storage.volume.survey(),
        seal_key=storage.custody.look(),
        seal_key_used=storage.custody.used(),
        remembered=remembered,
        anchor_readable=readable,
        expected_lineage=storage.expected_lineage,
        allow_unmounted=allow_unmounted,
    )


def _anchor(storage: Storage) -> tuple[Memory | None, bool]:
    try:
        return storage.anchor.read(), True
    except KleidiError:
        return None, False


def why_not_sealed(steps: Plan | Refusal) -> Refusal | None:
    """What the server tells while there is nothing to open; None once there is."""
    if isinstance(steps, Refusal):
        return steps
    return Refusal(faults.PROVISIONING) if Step.MAKE_FIRST_GENERATION in steps else None
