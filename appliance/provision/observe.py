"""Looking at the volume and what surrounds it, without touching anything."""

from dataclasses import replace

from appliance import faults
from appliance.faults import KleidiError
from appliance.provision.plan import Observation, Plan, Refusal, Step
from appliance.provision.policy import Policy
from appliance.volume.anchor import Memory
from appliance.volume.generations import Survey
from appliance.volume.opening import Storage


def observe(storage: Storage, policy: Policy, *, allow_unmounted: bool) -> Observation:
    remembered, readable = _anchor(storage)
    return Observation(
        policy=policy,
        survey=_survey(storage),
        seal_key=storage.custody.look(),
        seal_key_used=storage.custody.used(),
        remembered=remembered,
        anchor_readable=readable,
        expected_lineage=storage.expected_lineage,
        allow_unmounted=allow_unmounted,
    )


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
