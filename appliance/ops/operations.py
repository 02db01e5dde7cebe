"""The verbs: each reads the key set, decides purely, builds, commits, and writes down what it did."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys import adopted, key_id, lifecycle
from appliance.keys.engine import SOFTHSM, EngineState, Finds
from appliance.keys.found import FoundToken
from appliance.keys.keyset import Adopted, Key, KeySet, KeyState
from appliance.ops import check
from appliance.ops.workshop import Workshop
from appliance.telemetry import NOBODY, Observer
from appliance.volume.commit import Change, Committer, Hook
from appliance.volume.ledger import Ledger
from appliance.volume.opening import Opened
from appliance.volume.payload import Loss, Payload


class Verb(StrEnum):
    STAGE = "stage"
    PROMOTE = "promote"
    ROTATE = "rotate"
    RETIRE = "retire"
    DISABLE = "disable"
    ENABLE = "enable"
    DESTROY = "destroy"
    ADOPT = "adopt"
    ACCEPT = "accept"
    DISCOVER = "discover"


@dataclass(frozen=True)
class Command:
    """What was asked for. *key* is v3 or a key id; *stored* a whole count of objects under that key.

    *engine* is to make the new key; by default the one that is configured.
    """

    verb: Verb
    key: str = ""
    typed: str = ""
    expect_keyset: str = ""
    stored: int | None = None
    force: bool = False
    without_backup: bool = False
    reason: str = ""
    dry_run: bool = False
    by: str = ""
    engine: str = ""


@dataclass(frozen=True)
class Outcome:
    """*opened* is the generation that holds now; *key* the key that the verb was about."""

    opened: Opened
    key: Key
    said: tuple[str, ...]


@dataclass(frozen=True)
class Operations:
    """Needs the volume's lock, held by whoever calls; one command at a time.

    *backed_up* tells whether a verified backup holds a key set; *before* runs ahead of every commit.
    With *require_backup* no key becomes the primary one before a verified backup holds it.
    """

    workshop: Workshop
    ledger: Ledger
    destroy_wait_seconds: int
    backed_up: Callable[[KeySet], bool | None] = lambda _keyset: None
    before: tuple[Hook, ...] = ()
    require_backup: bool = False
    observer: Observer = NOBODY
    engine: str = SOFTHSM

    @property
    def committer(self) -> Committer:
        workshop = self.workshop
        return Committer(workshop.storage, workshop.engines, workshop.memory_dir, self.before, self.observer)

    def run(self, current: Opened, command: Command) -> Outcome:
        """Do it, or raise KleidiError with nothing changed."""
        keyset = current.payload.keyset
        if command.verb is Verb.ACCEPT:
            return self._accept(current, command)
        self.committer.demand(current)
        if command.expect_keyset and command.expect_keyset != keyset.hash:
            raise KleidiError(faults.KEYSET_DIFFERS, f"expected {command.expect_keyset}, is {keyset.hash}")
        self._demand_agreement(current, command)
        match command.verb:
            case Verb.STAGE:
                return self._stage(current, command)
            case Verb.ROTATE:
                return self._rotate(current, command)
            case Verb.DESTROY:
                return self._destroy(current, command)
            case Verb.DISCOVER:
                return self._discover(current, command)
            case _:
                return self._turn(current, command)

    def adopt(self, current: Opened, found: FoundToken, annotation: str, command: Command) -> Outcome:
        """Take over another plugin's key: it decrypts what that plugin wrote and never encrypts."""
        known = adopted.KNOWN.get(found.key_label)
        if known is None and not annotation:
            raise KleidiError(
                faults.TOKEN_NOT_ADOPTED,
                f"key label {found.key_label!r}: name its annotation with --annotation",
            )
        theirs = known or Adopted(found.key_label, annotation)
        try:
            key_id.check(theirs.key_id)
        except KleidiError as error:
            raise KleidiError(
                faults.TOKEN_NOT_ADOPTED, f"key label {found.key_label!r} can be no key id"
            ) from error
        self.committer.demand(current)
        keyset = current.payload.keyset
        lifecycle.refuse_second_adopted(keyset, theirs)
        taken = self.workshop.adopt(current.payload, found)
        highest = self.workshop.storage.highest_version(current)
        adopted_set = lifecycle.adopt(keyset, taken.made, theirs, self.ledger.now(), highest)
        payload = current.payload.with_state(SOFTHSM, taken.made.state)
        outcome = self._commit(current, command, payload, adopted_set, adopted_set.keys[-1])
        return replace(outcome, said=(*outcome.said, *filter(None, [taken.warning])))

    def take_over(self, current: Opened, engine: str, name: str, theirs: str, command: Command) -> Outcome:
        """The same with a key of that *name* in an engine: what the original's Vault provider wrote.

        *theirs* is the key id that it stored beside it.
        """
        taken_as, version = adopted.in_transit(theirs)
        self.committer.demand(current)
        keyset = current.payload.keyset
        lifecycle.refuse_second_adopted(keyset, taken_as)
        made = self.workshop.take_over(engine, current.payload, f"{name}:{version}")
        highest = self.workshop.storage.highest_version(current)
        grown = lifecycle.adopt(keyset, made, taken_as, self.ledger.now(), highest, engine)
        payload = current.payload.with_state(engine, made.state)
        return self._commit(current, command, payload, grown, grown.keys[-1])

    def conditions(self, keyset: KeySet, key: Key, stored: int | None = None) -> list[check.Condition]:
        """Whether it is safe to do without *key*."""
        known = check.Evidence(
            self.ledger.served,
            self.ledger.use(key.id),
            self.ledger.use(keyset.primary.id),
            stored,
            self.backed_up(keyset),
        )
        return check.conditions(keyset, key, known)

    def judge(
        self, keyset: KeySet, key: Key, found: list[check.Condition]
    ) -> tuple[check.Judgement, check.Judgement]:
        """Whether *key* could be disabled, and destroyed, by its state, its time and what was *found*."""
        now = self.ledger.now()
        return (
            _judged(check.may_disable(found), found, lambda: lifecycle.disable(keyset, key, now)),
            _judged(
                check.may_destroy(found),
                found,
                lambda: lifecycle.destroy(keyset, key, key.id, self.destroy_wait_seconds, now),
            ),
        )

    def _stage(self, current: Opened, command: Command) -> Outcome:
        keyset, object_id = current.payload.keyset, secrets.token_hex(16)
        engine = command.engine or self.engine
        lifecycle.refuse_second_staged(keyset)
        highest = self.workshop.storage.highest_version(current)
        if command.dry_run:
            version = lifecycle.next_version(keyset, highest)
            return Outcome(current, keyset.primary, (f"would stage v{version}",))
        made = self.workshop.make(engine, current.payload, object_id)
        staged = lifecycle.stage(keyset, made, self.ledger.now(), highest, engine)
        payload = current.payload.with_state(engine, made.state)
        return self._commit(current, command, payload, staged, staged.keys[-1])

    def finds(self, current: Opened) -> list[str]:
        """The engines in use, or configured, in which a key of another node can be found."""
        named = dict.fromkeys([*current.payload.engines, self.engine])
        return [name for name in named if isinstance(self.workshop.engines[name], Finds)]

    def _discover(self, current: Opened, command: Command) -> Outcome:
        """Take up the key of that id, which another node staged in an engine that is shared."""
        keyset = current.payload.keyset
        version, fingerprint = key_id.parts(command.key)
        for name in self.finds(current) if key_id.lineage(command.key) == keyset.lineage else ():
            made = self.workshop.find(name, current.payload, fingerprint)
            if made is not None:
                grown = lifecycle.discover(keyset, made, version, self.ledger.now(), name)
                found = next(key for key in grown.keys if key.version == version)
                payload = current.payload.with_state(name, made.state)
                return self._commit(current, command, payload, grown, found)
        raise KleidiError(faults.KEY_UNKNOWN, command.key)

    def _rotate(self, current: Opened, command: Command) -> Outcome:
        """Stage and promote: two generations. Interrupted in between, a second run takes the second."""
        staged = next((key for key in current.payload.keyset.keys if key.state is KeyState.STAGED), None)
        self._demand_seal_key(current, command)
        if staged is None:
            # A key that does not exist yet is in no backup: with the gate closed there is nothing to begin.
            self._demand_backup(current.payload.keyset, command, ahead=True)
        if command.dry_run:
            highest = self.workshop.storage.highest_version(current)
            version = lifecycle.next_version(current.payload.keyset, highest)
            name = staged.name if staged else f"v{version}, to be staged first"
            return Outcome(current, current.payload.keyset.primary, (f"would promote {name}",))
        if staged is None:
            outcome = self._stage(current, replace(command, verb=Verb.STAGE))
            current, staged = outcome.opened, outcome.key
        promote = replace(command, verb=Verb.PROMOTE, key=staged.name, expect_keyset="")
        return self._turn(current, promote)

    def _turn(self, current: Opened, command: Command) -> Outcome:
        """The verbs that only change a key's state."""
        keyset = current.payload.keyset
        key = lifecycle.find(keyset, command.key)
        step = {
            Verb.PROMOTE: lifecycle.promote,
            Verb.RETIRE: lifecycle.retire,
            Verb.DISABLE: lifecycle.disable,
            Verb.ENABLE: lifecycle.enable,
        }[command.verb]
        turned = step(keyset, key, self.ledger.now())
        if command.verb is Verb.PROMOTE:
            self._demand_seal_key(current, command)
            self._demand_backup(keyset, command)
        if command.verb is Verb.DISABLE and not command.force:
            self._demand(check.may_disable, keyset, key, command)
        return self._commit(current, command, current.payload, turned, key)

    def _destroy(self, current: Opened, command: Command) -> Outcome:
        keyset = current.payload.keyset
        key = lifecycle.find(keyset, command.key)
        gone = lifecycle.destroy(keyset, key, command.typed, self.destroy_wait_seconds, self.ledger.now())
        # Force does not reach here: what is destroyed while something needs it is lost for good.
        self._demand(check.may_destroy, keyset, key, command)
        if command.dry_run:
            return Outcome(current, key, (f"would destroy {key.id}",))
        state = self.workshop.destroy(key.engine, current.payload, key.object_id)
        alive = any(k.engine == key.engine and k.state is not KeyState.DESTROYED for k in gone.keys)
        # A remote engine remembers what it gave up; of a token without keys nothing is worth keeping.
        kept = state if alive or self.workshop.engines[key.engine].remote else EngineState()
        return self._commit(current, command, current.payload.with_state(key.engine, kept), gone, key)

    def _accept(self, current: Opened, command: Command) -> Outcome:
        """Say that this is all there is: what was seen here before and is missing is lost."""
        storage, keyset = self.workshop.storage, current.payload.keyset
        self.committer.demand(current, accepts=True)
        missing = storage.shortfall(current)
        if missing is None:
            raise KleidiError(faults.ANCHOR_NOTHING)
        named = ", ".join(missing.keys) or "no key is known to be"
        if command.dry_run:
            return Outcome(current, keyset.primary, (f"would accept as lost: {named}", missing.why))
        if command.typed != keyset.lineage:
            raise KleidiError(faults.ANCHOR_TYPED, f"typed {command.typed or 'nothing'}")
        now = self.ledger.now()
        loss = Loss(now.unix, missing.generation, current.header.generation, missing.keys, command.reason)
        payload = replace(
            current.payload,
            keyset=keyset.without_versions_to(storage.highest_version(current)),
            losses=(*current.payload.losses, loss),
        )
        told = {"lost": list(missing.keys), "seen": missing.generation, "reason": command.reason}
        done = self.committer.commit(
            current, payload, Change("anchor-accept", command.by, told, accepts=True)
        )
        return Outcome(done.opened, keyset.primary, (f"accepted as lost: {named}", *done.said))

    def _demand(
        self,
        judge: Callable[[list[check.Condition]], bool],
        keyset: KeySet,
        key: Key,
        command: Command,
    ) -> None:
        found = self.conditions(keyset, key, command.stored)
        if not judge(found):
            short = [f"{c.name}: {c.verdict}, {c.text}" for c in found if c.verdict is not check.Verdict.PASS]
            raise KleidiError(faults.KEY_IN_USE, "; ".join(short))

    @staticmethod
    def _demand_agreement(current: Opened, command: Command) -> None:
        """Another node must not get what a key encrypted before it has the key."""
        alone = command.verb is Verb.ROTATE or (command.verb is Verb.PROMOTE and not command.expect_keyset)
        if current.payload.shared and alone:
            raise KleidiError(faults.KEYSET_SHARED)

    def _demand_seal_key(self, current: Opened, command: Command) -> None:
        """What is written under a new key from now on must outlive the next start."""
        slots, custody = current.payload.slots, self.workshop.storage.custody
        # It is enough to look: a chip is slow, and was tried when the volume was opened.
        why = custody.why_gone(slots, thorough=False) if slots and not command.force else ""
        if why:
            raise KleidiError(faults.KEY_WOULD_DIE, why)

    def _demand_backup(self, keyset: KeySet, command: Command, *, ahead: bool = False) -> None:
        if not self.require_backup or command.without_backup:
            return
        if ahead or not self.backed_up(keyset):
            raise KleidiError(faults.KEY_NOT_BACKED_UP)

    def _commit(
        self, current: Opened, command: Command, payload: Payload, keyset: KeySet, key: Key
    ) -> Outcome:
        now_key = keyset.now(key)
        if command.dry_run:
            return Outcome(current, key, (f"would make {key.id} {now_key.state}",))
        told: dict[str, object] = {"key_id": now_key.id, "keyset": keyset.hash, "reason": command.reason}
        if command.without_backup:
            told["without_backup"] = "true"
        if command.force:
            told["force"] = True
        # A destroyed key must not be found in the generations before.
        change = Change(command.verb, command.by, told, purges=command.verb is Verb.DESTROY)
        done = self.committer.commit(current, replace(payload, keyset=keyset), change)
        said = [f"{now_key.id} is {now_key.state}", *done.said]
        if command.verb is Verb.PROMOTE and not self.backed_up(keyset):
            said.append(
                f"no verified backup holds {now_key.name}: kleidi backup create, then kleidi backup verify"
            )
        return Outcome(done.opened, now_key, tuple(said))


def _judged(
    conditions_hold: bool,
    found: list[check.Condition],
    step: Callable[[], KeySet],
) -> check.Judgement:
    try:
        step()
    except KleidiError as error:
        return check.Judgement(
            allowed=False, why=f"{error.fault.id}: {error.fault.sentence} ({error.detail})"
        )
    if not conditions_hold:
        return check.Judgement(allowed=False, why=f"{faults.KEY_IN_USE.id}: {faults.KEY_IN_USE.sentence}")
    return check.Judgement(allowed=True, why=check.regardless(found))
