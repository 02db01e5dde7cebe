"""Which key wraps, which keys unwrap, and the proof that each is the key it claims to be."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys import adopted
from appliance.keys import key_id as ids
from appliance.keys.engine import AwayError, Cipher, EngineError, LostError, OffError, TamperedError
from appliance.keys.envelope import MAX_PLAINTEXT, Envelope, associated_data
from appliance.keys.keyset import Key, KeySet, KeyState

_NONE: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True)
class Wrapped:
    """An envelope and the id of the key that made it, from one and the same moment."""

    key_id: str
    envelope: bytes


class Keyring:
    """One primary key that wraps, any number of keys that unwrap, each in the engine that it names."""

    def __init__(
        self,
        keyset: KeySet,
        engines: Mapping[str, Cipher],
        random: Callable[[int], bytes] = secrets.token_bytes,
        unreadable: frozenset[str] = frozenset(),
    ) -> None:
        """*engines* are those of all keys that decrypt."""
        self.keyset = keyset
        self.unreadable = unreadable
        self._engines = engines
        self._random = random
        self._primary = keyset.primary
        self._keys = {key.id: key for key in keyset.keys}

    def engine_of(self, key_id: str) -> str:
        """Which engine unwraps with that key; empty where none is asked."""
        key = self._keys.get(key_id)
        return key.engine if key and key.state.decrypts else ""

    def wrap(self, plaintext: bytes) -> Wrapped:
        if not 1 <= len(plaintext) <= MAX_PLAINTEXT:
            raise KleidiError(faults.PLAINTEXT_SIZE, f"{len(plaintext)} bytes")
        key = self._primary
        body = self._engines[key.engine].wrap(key.object_id, plaintext, associated_data(key.id))
        return Wrapped(key.id, Envelope(body).to_bytes())

    def unwrap(self, key_id: str, envelope: bytes, annotations: Mapping[str, bytes] = _NONE) -> bytes:
        """Give back exactly what was wrapped, or raise: the API server caches an answer unchecked."""
        ids.check(key_id)
        key = self._keys.get(key_id)
        if key is None:
            raise KleidiError(faults.KEY_UNKNOWN, key_id)
        if not key.state.decrypts:
            destroyed = key.state is KeyState.DESTROYED
            fault = faults.KEY_DESTROYED if destroyed else faults.KEY_DISABLED
            raise KleidiError(fault, key_id, said=f"{key.state} on {key.since.date}")
        if key_id in self.unreadable:
            raise KleidiError(faults.KEY_UNREADABLE, key_id)
        opened, aad = _opened(key, envelope, annotations)
        try:
            return self._engines[key.engine].unwrap(key.object_id, opened.body, aad)
        except TamperedError as error:
            raise KleidiError(faults.CIPHERTEXT_TAMPERED, key_id) from error

    def probe(self) -> None:
        """Wrap and unwrap with the primary key as a caller would; raise when it does not come back."""
        plaintext = self._random(32)
        wrapped = self.wrap(plaintext)
        if self.unwrap(wrapped.key_id, wrapped.envelope) != plaintext:
            raise KleidiError(faults.PRIMARY_WRONG, "the round trip came back changed")
        failure = self._failure(self._primary)
        if isinstance(failure, LostError):
            raise failure
        if failure is not None:
            raise KleidiError(faults.PRIMARY_WRONG, "another key answers in its place")

    def failing(self, engine: str) -> dict[Key, EngineError]:
        """The keys of *engine* that do not give their known answer: an object may have no check of its own.

        Those that give none although nobody switched them off refuse from here on: that failure is ours and
        must not look like damaged data. Raises AwayError.
        """
        tried = [key for key in self.keyset.keys if key.engine == engine and key.state.decrypts]
        found = {key: error for key in tried if (error := self._failure(key)) is not None}
        strangers = {key.id for key, error in found.items() if not isinstance(error, OffError)}
        self.unreadable = self.unreadable.difference(key.id for key in tried) | strangers
        return found

    def _failure(self, key: Key) -> EngineError | None:
        """A key is the one it was when it opens what it closed at its birth. Raises AwayError."""
        try:
            opened = self._engines[key.engine].unwrap(key.object_id, key.known_answer, ids.PROBE_AAD)
        except AwayError:
            raise
        except EngineError as error:
            return error
        return None if opened == ids.PROBE_PLAINTEXT else TamperedError("the known answer is another one")


def _opened(key: Key, data: bytes, annotations: Mapping[str, bytes]) -> tuple[Envelope, bytes]:
    """The envelope and the associated data, by the scheme of whoever made the key."""
    if key.adopted is not None:
        return adopted.opened(data, annotations, key.adopted), adopted.associated_data(key.adopted)
    if annotations:
        raise KleidiError(faults.ANNOTATIONS, f"{len(annotations)}")
    return Envelope.from_bytes(data), associated_data(key.id)
