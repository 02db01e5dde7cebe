"""Taking the planned steps. A kill at any moment leaves the volume as it was or with its first generation."""

import secrets
import time
from dataclasses import dataclass, replace

from appliance.faults import KleidiError
from appliance.keys.engine import SOFTHSM, EngineState
from appliance.keys.keyset import Key, KeySet, KeyState, Moment
from appliance.provision.observe import observe
from appliance.provision.plan import Plan, Refusal, Step, plan
from appliance.provision.policy import Policy
from appliance.volume import memory
from appliance.volume.commit import Change, Committer, Done
from appliance.volume.opening import Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from appliance.volume.traces import PROVISION


@dataclass(frozen=True)
class Provisioner:
    """Brings a volume from empty to sealed, once, when policy and evidence allow it; *by* whom is logged.

    *engine* makes the first key.
    """

    committer: Committer
    policy: Policy
    by: str
    allow_unmounted: bool = False
    engine: str = SOFTHSM

    @property
    def _storage(self) -> Storage:
        return self.committer.storage

    def run(self) -> Done:
        """Provision if there is need. Safe to run again, at any time, beside a running server."""
        sealed = self._steps() == (Step.VERIFY,)
        if sealed:
            opened = self._storage.open()
            if self._storage.remembers(opened) and not self._storage.leftovers():
                return Done(opened)
        try:
            with self._storage.volume.lock():
                # Once more under the lock: somebody else may have been faster.
                steps = self._steps()
                return self._again() if steps == (Step.VERIFY,) else self._first()
        except KleidiError:
            # A running server has the lock, or the volume is read-only now: what is sealed can be opened.
            if not sealed:
                raise
            return Done(self._storage.open())

    def _again(self) -> Done:
        """Complete what an interrupted run left undone."""
        opened = self._storage.open()
        self._storage.sweep()
        warnings = self._storage.remember(opened)
        return Done(replace(opened, warnings=tuple(dict.fromkeys((*opened.warnings, *warnings)))))

    def _steps(self) -> Plan:
        backed_up = bool(self.committer.before)
        seen = observe(self._storage, self.policy, allow_unmounted=self.allow_unmounted, backed_up=backed_up)
        steps = plan(seen)
        if isinstance(steps, Refusal):
            raise KleidiError(steps.fault, steps.detail)
        return steps

    def _first(self) -> Done:
        """Make a key, and commit it. Nothing is read again behind that: an error would tell of a failure."""
        self._storage.sweep()
        slots = self._storage.first_slots()
        with memory.room(self.committer.memory_dir) as scratch:
            maker = self.committer.engines[self.engine]
            made = maker.make(scratch, EngineState(), secrets.token_hex(16))
        lineage, born = made.lineage or secrets.token_hex(6), Moment(int(time.time()))
        version = made.number or 1
        key = Key.born(lineage, version, KeyState.PRIMARY, made, born, engine=self.engine)
        keyset = KeySet(lineage, (key,), skipped=tuple(range(1, version)))
        engines = {self.engine: made.state}
        change = Change(PROVISION, self.by, made={"key_id": keyset.primary.id, "keyset": keyset.hash})
        done = self.committer.first(Header(lineage, 1), lambda: Payload(keyset, engines, slots), change)
        return replace(done, born=True)
