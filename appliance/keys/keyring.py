"""Which key wraps, which keys unwrap, and the proof that each is the key it claims to be."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys import adopted
from appliance.keys import key_id as ids
from appliance.keys.cipher import Cipher, CipherError, TamperedError
from appliance.keys.envelope import MAX_PLAINTEXT, NONCE_SIZE, Envelope, associated_data
from appliance.keys.keyset import Key, KeySet, KeyState

_NONE: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True)
class Wrapped:
    """An envelope and the id of the key that made it, from one and the same moment."""

    key_id: str
    envelope: bytes


class Keyring:
    """One primary key that wraps, any number of keys that unwrap."""

    def __init__(
        self,
        keyset: KeySet,
        cipher: Cipher,
        random: Callable[[int], bytes] = secrets.token_bytes,
        unreadable: frozenset[str] = frozenset(),
    ) -> None:
        self.keyset = keyset
        self.unreadable = unreadable
        self._cipher = cipher
        self._random = random
        self._primary = keyset.primary
        self._keys = {key.id: key for key in keyset.keys}

    def wrap(self, plaintext: bytes) -> Wrapped:
        if not 1 <= len(plaintext) <= MAX_PLAINTEXT:
            raise KleidiError(faults.PLAINTEXT_SIZE, f"{len(plaintext)} bytes")
        key, nonce = self._primary, self._random(NONCE_SIZE)
        ciphertext = self._cipher.encrypt(key.object_id, nonce, plaintext, associated_data(key.id))
        return Wrapped(key.id, Envelope(nonce, ciphertext).to_bytes())

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
            return self._cipher.decrypt(key.object_id, opened.nonce, opened.ciphertext, aad)
        except TamperedError as error:
            raise KleidiError(faults.CIPHERTEXT_TAMPERED, key_id) from error

    def probe(self) -> None:
        """Wrap and unwrap with the primary key as a caller would; raise when it does not come back."""
        plaintext = self._random(32)
        wrapped = self.wrap(plaintext)
        if self.unwrap(wrapped.key_id, wrapped.envelope) != plaintext:
            raise KleidiError(faults.PRIMARY_WRONG, "the round trip came back changed")
        if not self._knows(self._primary):
            raise KleidiError(faults.PRIMARY_WRONG, "another key answers in its place")

    def strangers(self) -> list[Key]:
        """The keys that do not give their known answer: SoftHSM's objects have no check of their own.

        From here on they refuse: their failure is ours and must not look like damaged data.
        """
        found = [key for key in self.keyset.keys if key.state.decrypts and not self._knows(key)]
        self.unreadable = frozenset(key.id for key in found)
        return found

    def _knows(self, key: Key) -> bool:
        try:
            answer = self._cipher.encrypt(key.object_id, ids.PROBE_NONCE, ids.PROBE_PLAINTEXT, ids.PROBE_AAD)
            back = self._cipher.decrypt(key.object_id, ids.PROBE_NONCE, key.known_answer, ids.PROBE_AAD)
        except CipherError:
            return False
        return answer == key.known_answer and back == ids.PROBE_PLAINTEXT


def _opened(key: Key, data: bytes, annotations: Mapping[str, bytes]) -> tuple[Envelope, bytes]:
    """The envelope and the associated data, by the scheme of whoever made the key."""
    if key.adopted is not None:
        return adopted.opened(data, annotations, key.adopted), adopted.associated_data(key.adopted)
    if annotations:
        raise KleidiError(faults.ANNOTATIONS, f"{len(annotations)}")
    return Envelope.from_bytes(data), associated_data(key.id)
