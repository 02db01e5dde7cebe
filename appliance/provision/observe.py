"""Looking at the volume and what surrounds it, without touching anything."""

from dataclasses import replace

from appliance import faults
from appliance.faults import KleidiError
from appliance.provision.plan import Observation, Plan, Refusal, Step
from appliance.provision.policy import Policy
from appliance.volume.anchor import Memory
from appliance.volume.generations import Survey, VolumeState
from appliance.volume.opening import Storage
from appliance.volume.slot import BOUND, Presence


def observe(
    storage: Storage, policy: Policy, *, allow_unmounted: bool, backed_up: bool = False
) -> Observation:
    """*backed_up* is whether a first generation would come back without this machine."""
    remembered, readable = _anchor(storage)
    survey = _survey(storage)
    presence, trouble = _seal_key(storage, survey)
    return Observation(
        policy=policy,
        survey=survey,
        seal_key=presence,
        seal_key_used=storage.custody.used(),
        remembered=remembered,
        anchor_readable=readable,
        expected_lineage=storage.expected_lineage,
        allow_unmounted=allow_unmounted,
        seal_key_trouble=Refusal(trouble.fault, trouble.detail) if trouble else None,
        alone=storage.custody.kind in BOUND and storage.beside is None and not backed_up,
    )


def _seal_key(storage: Storage, survey: Survey) -> tuple[Presence, KleidiError | None]:
    """A chip or a server is asked only where a slot may have to be made."""
    if survey.state is VolumeState.SEALED:
        return Presence.PRESENT, None
    return storage.custody.look()


def _survey(storage: Storage) -> Survey:
    """A first boot that was cut off left its beginning in the log, which tells of no earlier key."""
    survey = storage.volume.survey()
    return replace(survey, traces=False) if survey.traces and storage.only_begun() else survey


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
