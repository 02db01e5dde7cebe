"""Giving the keys to another node, and taking them from one."""

from dataclasses import dataclass, replace

from appliance.age.key_pairs import Recipients
from appliance.backup.bundle import make
from appliance.backup.restore import Restorer
from appliance.keys.keyset import KeySet, KeyState
from appliance.nodes import merge
from appliance.nodes.evidence import steps_to_join
from appliance.ops.operations import Operations, Outcome
from appliance.provision.observe import observe
from appliance.provision.policy import Policy
from appliance.volume import memory
from appliance.volume.commit import Change, Done
from appliance.volume.generations import VolumeState
from appliance.volume.opening import Opened
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from appliance.volume.trial import prove

_SOURCE = "node"


@dataclass(frozen=True)
class Cluster:
    """One node's part in it. One act at a time; *operations* are the node's own."""

    operations: Operations
    policy: Policy
    allow_unmounted: bool

    def holds_keys(self) -> bool:
        """Whether there is a seal, open or not."""
        return self.operations.workshop.storage.volume.survey().state is VolumeState.SEALED

    def export(self, current: Opened, recipient: str, by: str) -> tuple[bytes, Outcome]:
        """All keys for that *recipient* alone. Needs the volume's lock."""
        sealer = Recipients((recipient,))
        adrift = self.operations.workshop.storage.adrift(current)
        if not current.payload.shared:
            # Before anybody has them: a node that shares its keys must never again go ahead alone.
            payload = replace(current.payload, shared=True)
            if adrift:
                current = replace(current, payload=payload)
            else:
                current = self._commit(current, payload, "share", by, destroyed=False).opened
        keyset = current.payload.keyset
        self.operations.workshop.storage.note(current, "node-export", by, recipient=recipient)
        bundle = make(current.payload, current.header, sealer)
        said = f"{len(keyset.keys)} keys of lineage {keyset.lineage} for {recipient}"
        return bundle, Outcome(current, keyset.primary, (said,))

    def enter(self, payload: Payload, *, dry_run: bool, by: str) -> Outcome:
        """Bring an empty volume its first generation. Takes the lock; a kill leaves it empty or sealed."""
        workshop = self.operations.workshop
        storage, lineage = workshop.storage, payload.keyset.lineage
        # The other nodes have the keys as well.
        seen = observe(storage, self.policy, allow_unmounted=self.allow_unmounted, backed_up=True)
        steps_to_join(seen, storage.custody.used_for(), lineage)
        with memory.room(workshop.memory_dir) as scratch:
            prove(workshop.engines, scratch, payload.engines, payload.keyset)
        now = replace(self.operations.ledger.now(), served=0)
        ours = replace(payload, keyset=merge.welcomed(payload.keyset, now), slots=(), shared=True)
        # A count of this node's own, that goes on from what is remembered of the volume before.
        generation = (seen.remembered.generation if seen.remembered else 0) + 1
        header = Header(lineage, generation)
        restorer = Restorer(self.operations.committer, self.allow_unmounted, by, "node-join")
        done = restorer.run(header, ours, source=_SOURCE, dry_run=dry_run)
        verb = "would join" if dry_run else "joined"
        said = f"{verb} lineage {lineage} with {len(ours.keyset.keys)} keys"
        if done is None:
            return Outcome(Opened(Header(lineage, 0), ours, ""), ours.keyset.primary, (said,))
        return Outcome(done.opened, ours.keyset.primary, (said, *done.said))

    def update(self, current: Opened, payload: Payload, *, dry_run: bool, by: str) -> Outcome:
        """Go over to a newer key set of the same lineage, as the next generation. Needs the lock."""
        self.operations.committer.demand(current)
        held = current.payload.keyset
        keyset = merge.updated(held, payload.keyset, self.operations.ledger.now())
        primary = keyset.primary
        if keyset == held and current.payload.shared:
            return Outcome(current, primary, ("this node holds these keys in these states already",))
        said = _news(held, keyset)
        if dry_run:
            return Outcome(current, primary, tuple(f"would take: {each}" for each in said))
        losses = dict.fromkeys((*current.payload.losses, *payload.losses))
        ours = replace(payload, keyset=keyset, slots=current.payload.slots, shared=True, losses=tuple(losses))
        gone = {key.version for key in keyset.keys if key.state is KeyState.DESTROYED}
        destroyed = any(key.version in gone and key.state is not KeyState.DESTROYED for key in held.keys)
        done = self._commit(current, ours, "node-join", by, destroyed=destroyed)
        return Outcome(done.opened, primary, (*said, *done.said))

    def _commit(self, current: Opened, payload: Payload, op: str, by: str, *, destroyed: bool) -> Done:
        # A destroyed key must not be found in the generations before.
        change = Change(op, by, {"keyset": payload.keyset.hash}, purges=destroyed)
        return self.operations.committer.commit(current, payload, change)


def _news(held: KeySet, keyset: KeySet) -> tuple[str, ...]:
    before = {key.id: key.state for key in held.keys}
    changed = [key for key in keyset.keys if before.get(key.id) is not key.state]
    return tuple(f"{key.id} is {key.state}" for key in changed) or ("the same keys, now shared",)
