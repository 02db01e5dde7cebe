"""Taking the planned steps. A kill at any moment leaves the volume as it was or with its first generation."""

import secrets
from pathlib import Path
from typing import Protocol

from appliance.faults import KleidiError
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.provision.observe import observe
from appliance.provision.plan import Policy, Refusal, Step, plan
from appliance.volume import memory
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload, TokenImage
from appliance.volume.seal import Header, seal, unseal


class TokenMaker(Protocol):
    """What the provisioner needs of an engine."""

    def make(self, scratch: Path, object_id: str) -> tuple[TokenImage, bytes]: ...

    def prove(self, scratch: Path, image: TokenImage, keyset: KeySet) -> None: ...


class Provisioner:
    """Brings a volume from empty to sealed, once, when policy and evidence allow it."""

    def __init__(
        self, storage: Storage, maker: TokenMaker, memory_dir: Path, policy: Policy, *, allow_unmounted: bool
    ) -> None:
        self._storage = storage
        self._maker = maker
        self._memory_dir = memory_dir
        self._policy = policy
        self._allow_unmounted = allow_unmounted

    def run(self) -> Opened:
        """Provision if there is need. Safe to run again, at any time, beside a running server."""
        if self._steps() == (Step.VERIFY,):
            return self._storage.open()
        with self._storage.volume.lock():
            # Once more under the lock: somebody else may have been faster.
            for step in self._steps():
                self._take(step)
            opened = self._storage.open()
            self._storage.remember(opened.header)
        return opened

    def _steps(self) -> tuple[Step, ...]:
        seen = observe(self._storage, self._policy, allow_unmounted=self._allow_unmounted)
        steps = plan(seen)
        if isinstance(steps, Refusal):
            raise KleidiError(steps.fault, steps.detail)
        return steps

    def _take(self, step: Step) -> None:
        match step:
            case Step.CREATE_SEAL_KEY:
                self._storage.custody.create()
            case Step.MAKE_FIRST_GENERATION:
                self._storage.sweep()
                self._make_first_generation()
            case Step.VERIFY:
                self._storage.open()

    def _make_first_generation(self) -> None:
        """Build in memory, seal, and let a fresh process try the sealed form before it is committed."""
        custody_key = self._storage.custody.load()
        lineage, object_id = secrets.token_hex(6), secrets.token_hex(16)
        with memory.room(self._memory_dir) as scratch:
            image, known_answer = self._maker.make(scratch, object_id)
            key = Key(lineage, 1, KeyState.PRIMARY, object_id, known_answer)
            payload = Payload(KeySet(lineage, (key,)), image)
            sealed = seal(Header(lineage, 1), payload.to_bytes(), [custody_key])
            opened = Payload.from_bytes(unseal(sealed, [custody_key])[1])
            self._maker.prove(scratch, opened.token, opened.keyset)
        self._storage.volume.commit(1, sealed)
