"""What becomes of a node's key set when another node's is brought. Pure.

Nothing is mixed: either the brought one goes on from ours, and takes its place, or it is refused.
"""

from dataclasses import replace

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyset import Key, KeySet, KeyState, Moment

_ORDER = list(KeyState)


def welcomed(brought: KeySet, now: Moment) -> KeySet:
    """The key set of a node that held none."""
    return replace(brought, keys=tuple(_on_our_clock(key, now) for key in brought.keys))


def updated(held: KeySet, brought: KeySet, now: Moment) -> KeySet:
    """*brought* in the place of *held*: every key of ours in it, none in an earlier state."""
    if brought.lineage != held.lineage:
        raise KleidiError(
            faults.LINEAGE_FOREIGN, f"{held.lineage} is held here, {brought.lineage} was brought"
        )
    there = {key.version: key for key in brought.keys}
    both = [(ours, there[ours.version]) for ours in held.keys if ours.version in there]
    for ours, theirs in both:
        if not _same(ours, theirs):
            raise KleidiError(faults.KEYSET_CONFLICT, f"here {ours.id}, there {theirs.id}")
    if missing := [key.id for key in held.keys if key.version not in there]:
        raise KleidiError(faults.BUNDLE_STALE, "it lacks " + ", ".join(missing))
    for ours, theirs in both:
        if _ORDER.index(theirs.state) < _ORDER.index(ours.state):
            raise KleidiError(faults.BUNDLE_STALE, f"{ours.id} is {ours.state} here, {theirs.state} there")
    known = {theirs: ours for ours, theirs in both}
    keys = (
        replace(key, since=known[key].since)
        if key in known and known[key].state is key.state
        else _on_our_clock(key, now)
        for key in brought.keys
    )
    # What was lost here and is not there either stays lost: its version is not given again.
    return replace(brought, keys=tuple(keys)).without_versions_to(held.newest)


def _same(ours: Key, theirs: Key) -> bool:
    """Of one engine and fingerprint. SoftHSM's answers repeat; another engine's differ from node to node."""
    alike = (ours.id, ours.engine, ours.fingerprint) == (theirs.id, theirs.engine, theirs.fingerprint)
    return alike and (ours.engine != SOFTHSM or ours.known_answer == theirs.known_answer)


def _on_our_clock(key: Key, now: Moment) -> Key:
    """The other node's time served says nothing here; waiting times begin anew, the safe way to be wrong."""
    return replace(key, since=Moment(key.since.unix, now.served))
