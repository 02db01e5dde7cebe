"""Taking the planned steps. A kill at any moment leaves the volume as it was or with its first generation."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from appliance.faults import KleidiError
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.provision.observe import observe
from appliance.provision.plan import Plan, Policy, Refusal, Step, plan
from appliance.volume import memory
from appliance.volume.generations import digest
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload, TokenImage
from appliance.volume.seal import Header, seal, unseal


class TokenMaker(Protocol):
    """What the provisioner needs of an engine."""

    def make(self, scratch: Path, object_id: str) -> tuple[TokenImage, bytes]: ...

    def prove(self, scratch: Path, image: TokenImage, keyset: KeySet) -> None: ...


class Provisioner:
    """Brings a volume from empty to sealed, once, when policy and evidence allow it."""

    def __init__(  # noqa: PLR0913  everything that a first boot touches meets here
        self,
        storage: Storage,
        maker: TokenMaker,
        memory_dir: Path,
        policy: Policy,
        *,
        allow_unmounted: bool,
        before: tuple[Callable[[Header, Payload], None], ...] = (),
    ) -> None:
        self._storage = storage
        self._maker = maker
        self._memory_dir = memory_dir
        self._policy = policy
        self._allow_unmounted = allow_unmounted
        self._before = before

    def run(self) -> Opened:
        """Provision if there is need. Safe to run again, at any time, beside a running server."""
        sealed = self._steps() == (Step.VERIFY,)
        if sealed:
            opened = self._storage.open()
            if self._storage.remembers(opened) and not self._storage.leftovers():
                return opened
        try:
            with self._storage.volume.lock():
                # Once more under the lock: somebody else may have been faster.
                steps = self._steps()
                first = Step.MAKE_FIRST_GENERATION in steps
                return self._finish(self._first(steps) if first else self._again())
        except KleidiError:
            # A running server has the lock, or the volume is read-only now: what is sealed can be opened.
            if not sealed:
                raise
            return self._storage.open()

    def _again(self) -> Opened:
        opened = self._storage.open()
        self._storage.sweep()
        return opened

    def _finish(self, opened: Opened) -> Opened:
        """Complete what an interrupted run left undone."""
        warnings = self._storage.remember(opened)
        return replace(opened, warnings=tuple(dict.fromkeys((*opened.warnings, *warnings))))

    def _steps(self) -> tuple[Step, ...]:
        seen = observe(self._storage, self._policy, allow_unmounted=self._allow_unmounted)
        steps = plan(seen)
        if isinstance(steps, Refusal):
            raise KleidiError(steps.fault, steps.detail)
        return steps

    def _first(self, steps: Plan) -> Opened:
        """Build in memory, seal, and let a fresh process try the sealed form before it is committed.

        Nothing is read again behind the commit: an error there would tell of a failure where there is none.
        """
        if Step.CREATE_SEAL_KEY in steps:
            self._storage.custody.create()
        self._storage.sweep()
        custody_key = self._storage.custody.load()
        lineage, object_id = secrets.token_hex(6), secrets.token_hex(16)
        with memory.room(self._memory_dir) as scratch:
            image, known_answer = self._maker.make(scratch, object_id)
            key = Key(lineage, 1, KeyState.PRIMARY, object_id, known_answer)
            slot = custody_key.hold()
            payload = Payload(KeySet(lineage, (key,)), image, (slot,))
            sealed = seal(Header(lineage, 1), payload.to_bytes(), [slot])
            header, content = unseal(sealed, [custody_key])
            payload = Payload.from_bytes(content)
            self._maker.prove(scratch, payload.token, payload.keyset)
        for hook in self._before:
            hook(header, payload)
        protection = self._storage.protection(header)
        self._storage.volume.commit(1, sealed)
        return Opened(header, payload, protection, digest=digest(sealed))
