"""How it stands, and each engine: the same words as `kleidi status`, every state in every state."""

from collections.abc import Iterator

from appliance.service.metrics import table
from appliance.service.metrics.moment import Moment
from appliance.service.metrics.table import Sample
from appliance.service.standing import State
from appliance.telemetry.counts import Proofs


def samples(moment: Moment) -> Iterator[Sample]:
    standing, counts = moment.standing, moment.counts
    for state in State:
        yield Sample(table.STATE, state is standing.state, (state,))
    for fault, _ in standing.reasons:
        yield Sample(table.REASON, 1, (fault.id, fault.kind.name.lower()))
    yield Sample(table.STATE_SINCE, counts.since)
    yield from _proofs(moment)
    yield Sample(table.OPENS, counts.opened)
    yield Sample(table.SWITCHES, counts.switched)
    yield Sample(table.SWITCH_PAUSE, counts.pause)
    yield Sample(table.GENERATION, standing.generation)
    if standing.keyset is not None:
        yield Sample(table.KEYSET_INFO, 1, (standing.keyset.hash, standing.keyset.lineage))
    if standing.protection:
        yield Sample(table.PROTECTION, 1, (standing.protection,))
    for engine in moment.engines:
        yield Sample(table.ENGINE_KEYS, engine.keys, (engine.name,))
        yield Sample(table.ENGINE_AWAY, engine.away is not None, (engine.name,))
        yield Sample(table.ENGINE_WAITING, engine.waiting, (engine.name,))


def _proofs(moment: Moment) -> Iterator[Sample]:
    proofs = dict(moment.counts.proofs)
    own = _of_the_primary_key(moment, proofs)
    yield Sample(table.PROOF, own.last)
    yield Sample(table.PROOF_SECONDS, own.seconds)
    yield Sample(table.PROOFS, own.well, ("ok",))
    yield Sample(table.PROOFS, own.failed, ("failed",))
    for engine, each in proofs.items():
        if each.last:
            yield Sample(table.ENGINE_PROOF, each.last, (engine,))
        yield Sample(table.ENGINE_PROOFS, each.well, (engine, "ok"))
        yield Sample(table.ENGINE_PROOFS, each.failed, (engine, "failed"))


def _of_the_primary_key(moment: Moment, proofs: dict[str, Proofs]) -> Proofs:
    """While nothing is open, of the engine that was proved last."""
    if moment.standing.keyset is not None:
        return proofs.get(moment.standing.keyset.primary.engine, Proofs())
    return max(proofs.values(), key=lambda each: each.last, default=Proofs())
