"""The engine: keys are versions of Transit keys, taken up one by one; no key is ever on this node."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from appliance import faults
from appliance.engines.transit.held import Held, Taken
from appliance.engines.transit.known import KnownAnswers
from appliance.engines.transit.taking import Taking
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import AwayError, EngineState, LostError, Made, OffError, TamperedError
from appliance.transit.access import Access
from appliance.transit.answers import CallError, Outcome
from appliance.transit.client import Client
from appliance.transit.fitness import fit
from appliance.transit.key import OVERHEAD, Keys, Version
from appliance.transit.session import Session

# Of a whole call: below KLEIDI_CALL_SECONDS, which is below the API server's three.
CALL_SECONDS = 2.0


class TransitEngine:
    """Used by many threads, and opened with another state while calls are under way.

    Built without an address it holds nothing and reaches nobody, and says so at every call.
    """

    remote = True

    def __init__(self, access: Access, call_seconds: float = CALL_SECONDS) -> None:
        self.access = access
        self.client = Client(access)
        session = Session(access, self.client, call_seconds)
        self.keys = Keys(self.client, session, call_seconds)
        self._taking = Taking(self.keys)
        self._known = KnownAnswers(self.keys)
        self._held = Held()

    @property
    def lanes(self) -> int:
        return self.access.lanes

    def open(self, directory: Path, state: EngineState) -> None:  # noqa: ARG002  nothing lies in files
        try:
            self._held = Held.of(state)
        except ValueError as error:
            self._held = Held()
            raise KleidiError(faults.TOKEN_LOST, "what the seal keeps for Transit is damaged") from error

    def close(self) -> None:
        self._held = Held()
        self.client.close()

    def wrap(self, key: str, plaintext: bytes, aad: bytes) -> bytes:
        if not plaintext:
            raise ValueError("there is no plaintext")
        if not aad:
            raise ValueError("there is no additional data")
        version, _ = self._find(key)
        if not version.bound:
            raise ValueError("a key without associated data only unwraps")
        with self.as_engine():
            return self.keys.encrypt(version, plaintext, aad)

    def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
        if len(body) <= OVERHEAD:
            raise ValueError("the body is no longer than a nonce and a tag")
        if not aad:
            raise ValueError("there is no additional data")
        version, taken = self._find(key)
        until = time.monotonic() + self.keys.seconds
        with self.as_engine():
            try:
                return self.keys.decrypt(version, body, aad if version.bound else None, until)
            except CallError as error:
                # The one refusal that two things mean: other data, or another key under the same name.
                if error.outcome is not Outcome.TAG or self._known.opens(version, taken.answer, until):
                    raise
            raise OffError(faults.TRANSIT_KEY_OTHER, str(version))

    def make(self, scratch: Path, state: EngineState, wish: str) -> Made:  # noqa: ARG002  the server names it
        """Take up the key's latest version, unless it was taken up before; none is made.

        Raises KleidiError.
        """
        held, mount, key = _held(state), self.access.mount, self.access.key
        with self._as_kleidi():
            told = fit(self.keys, mount, key)
            taken = held.numbers(mount, key)
            if told.latest in taken:
                self._taking.compare(held, Version(mount, key, told.latest))
            if told.latest in taken or told.latest < max(taken, default=0):
                raise KleidiError(faults.TRANSIT_ROTATE_FIRST, f"{mount}/{key}, latest version {told.latest}")
            return self._taking.take(held, Version(mount, key, told.latest), told)

    def find(self, state: EngineState, fingerprint: str) -> Made | None:
        """The configured key's version with that *fingerprint*, which another node took up and we did not.

        Raises AwayError and OffError, as unwrap does; KleidiError for a key that is unfit.
        """
        held, mount, key = _held(state), self.access.mount, self.access.key
        with self.as_engine():
            told = fit(self.keys, mount, key)
            taken = held.numbers(mount, key)
            for number in range(told.latest, told.lowest_named - 1, -1):
                version = Version(mount, key, number)
                if number not in taken and self._taking.fingerprint(version) == fingerprint:
                    return self._taking.take(held, version, told)
        return None

    def take_over(self, state: EngineState, name: str) -> Made:
        """A version with which another plugin encrypted, without associated data; *name* as in Version."""
        try:
            held, version = _held(state), replace(Version.parse(name), bound=False)
        except ValueError as error:
            raise KleidiError(faults.TOKEN_NOT_ADOPTED, f"{name!r} is no MOUNT/KEY:VERSION") from error
        if version in held.versions:
            raise KleidiError(faults.KEY_ADOPTED_ALREADY, str(version))
        with self._as_kleidi():
            return self._taking.take_unbound(held, version)

    def rotate(self) -> int:
        """Let the server make a new version of the configured key; its number. Needs an operator's token."""
        mount, key = self.access.mount, self.access.key
        with self._as_kleidi():
            self.keys.rotate(mount, key)
            return self.keys.metadata(mount, key).latest

    def destroy(self, scratch: Path, state: EngineState, object_id: str) -> EngineState:  # noqa: ARG002
        """The version stays at the server, where other nodes may need it: trimming it is the operator's."""
        held = _held(state)
        version = next((each for each in held.live() if str(each) == object_id), None)
        if version is None:
            raise KleidiError(faults.TRIAL_FAILED, "no such key")
        return held.without(version).state

    def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:  # noqa: ARG002
        held = _held(state)
        listed = {str(version): version for version in held.live()}
        if not known_answers.keys() <= listed.keys():
            raise KleidiError(faults.TRIAL_FAILED, "the keys are not the ones that are listed")
        if not known_answers:
            return
        with self._as_kleidi():
            wrong = self._known.strangers({listed[name]: answer for name, answer in known_answers.items()})
        if wrong:
            raise KleidiError(faults.TRIAL_FAILED, ", ".join(map(str, wrong)))

    def needs(self, state: EngineState) -> str:
        return _held(state).needs()

    def inspect(self) -> Mapping[Fault, str]:
        """One look at each key that is held, and at the configured one. Raises like wrap."""
        found: dict[Fault, list[str]] = {}
        live = self._held.live()
        configured = self.access.mount, self.access.key
        with self.as_engine():
            for mount, key in dict.fromkeys([*((each.mount, each.key) for each in live), configured]):
                numbers = {each.number for each in live if (each.mount, each.key) == (mount, key)}
                told = self.keys.metadata(mount, key)
                warnings = [*told.warnings()]
                if numbers and min(numbers) < told.min_decryption:
                    warnings.append((faults.TRANSIT_MINIMUM, f"min_decryption_version {told.min_decryption}"))
                if numbers and max(numbers) < told.min_encryption:
                    warnings.append((faults.TRANSIT_MINIMUM, f"min_encryption_version {told.min_encryption}"))
                ever = self._held.numbers(mount, key)
                if (mount, key) == configured and ever and told.latest > max(ever):
                    warnings.append((faults.TRANSIT_NEWER, f"version {told.latest}, taken up {max(ever)}"))
                if self.access.follow:
                    # Then it is what is wanted.
                    warnings = [each for each in warnings if each[0] is not faults.TRANSIT_AUTO_ROTATE]
                for fault, detail in warnings:
                    found.setdefault(fault, []).append(f"{mount}/{key}: {detail}")
            if self.keys.upserts(self.access.mount):
                found[faults.TRANSIT_UPSERT] = [self.access.mount]
        return {fault: "; ".join(details) for fault, details in found.items()}

    def _find(self, key: str) -> tuple[Version, Taken]:
        for version, taken in self._held.versions.items():
            if str(version) == key and not taken.destroyed:
                return version, taken
        raise LostError("no such key")

    @contextmanager
    def as_engine(self) -> Iterator[None]:
        """What can go wrong at the server, in the words of the port."""
        if not self.client.nodes:
            raise AwayError(faults.TRANSIT_UNSET)
        try:
            yield
        except CallError as error:
            raise error.as_engine() from None

    @contextmanager
    def _as_kleidi(self) -> Iterator[None]:
        """The same for an operator's command."""
        try:
            with self.as_engine():
                yield
        except (AwayError, OffError) as error:
            raise KleidiError(*error.reason) from None
        except TamperedError:
            raise KleidiError(faults.TRANSIT_ANSWER, "it does not open what it closed") from None


def _held(state: EngineState) -> Held:
    try:
        return Held.of(state)
    except ValueError as error:
        raise KleidiError(faults.TRIAL_FAILED, "what the seal keeps for Transit is damaged") from error
