"""Whether a volume without keys may take those that were brought. Pure.

An empty volume beside an anchor is a lost one. Bringing back the very lineage that is remembered
is what it waits for; any other is refused, and so is a node that would make keys of its own.
"""

from dataclasses import replace

from appliance import faults
from appliance.faults import KleidiError
from appliance.provision.plan import Observation, Plan, Refusal, plan
from appliance.provision.policy import Policy


def steps_to_join(seen: Observation, marked: str, lineage: str) -> Plan:
    """What the provisioner would do here if it might. *marked* is what the seal key's mark names."""
    if seen.policy is Policy.AUTO:
        raise KleidiError(faults.JOIN_AUTO)
    remembered = {seen.remembered.lineage} if seen.remembered else set()
    known = {found for found in (*remembered, marked, seen.expected_lineage) if found}
    if known - {lineage}:
        others = ", ".join(sorted(known - {lineage}))
        raise KleidiError(faults.LINEAGE_FOREIGN, f"{others} is remembered here, {lineage} was brought")
    # Traces alone name no lineage: an interrupted join leaves them too, and a second one must go on.
    survey = replace(seen.survey, traces=False)
    here = replace(seen, policy=Policy.AUTO, expected_lineage=None, survey=survey)
    if known:
        here = replace(here, remembered=None, seal_key_used=False)
    steps = plan(here)
    if isinstance(steps, Refusal):
        raise KleidiError(steps.fault, steps.detail)
    return steps
