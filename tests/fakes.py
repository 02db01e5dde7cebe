"""An engine of keys in plain memory, and the ways in which a test can make it misbehave.

Obeys the same contract as SoftHSM's (tests/contract/), so it may stand in for it.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys import key_id
from appliance.keys.cipher import CipherLostError, TamperedError
from appliance.keys.envelope import NONCE_SIZE, TAG_SIZE
from appliance.keys.keyset import KeySet, KeyState
from appliance.volume.payload import AdoptedToken, FoundToken, TokenImage

_FOLDER = "fake-token/"
_KEY_SIZE = 32
# A test that forgot to let go must fail, not hang.
_LONGEST_HANG_SECONDS = 60


class FakeCipher:
    """AES-256-GCM under *keys*, by object id."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self.keys = dict(keys or {})
        self.calls = 0
        self._free = threading.Event()
        self._free.set()
        self._entered = threading.Event()
        self._lost = False
        self._bug: Exception | None = None

    def encrypt(self, key: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        if not plaintext:
            raise ValueError("there is no plaintext")
        _check(nonce, aad)
        return self._key(key).encrypt(nonce, plaintext, aad)

    def decrypt(self, key: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        if len(ciphertext) <= TAG_SIZE:
            raise ValueError("the ciphertext is no longer than its tag")
        _check(nonce, aad)
        try:
            return self._key(key).decrypt(nonce, ciphertext, aad)
        except InvalidTag as error:
            raise TamperedError("the tag does not fit") from error

    def generate(self, object_id: str) -> bytes:
        """Make a key and give its known answer."""
        self.keys[object_id] = secrets.token_bytes(_KEY_SIZE)
        return self.known_answer(object_id)

    def known_answer(self, object_id: str) -> bytes:
        key = AESGCM(self.keys[object_id])
        return key.encrypt(key_id.PROBE_NONCE, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD)

    def hang(self) -> None:
        """Let no call end before release."""
        self._entered.clear()
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def wait_until_hanging(self, seconds: float = 30) -> None:
        """Come back when a call is inside."""
        assert self._entered.wait(seconds), "no call reached the hanging cipher"

    def lose(self) -> None:
        """Fail every call as a token that went away; an engine heals by being opened again."""
        self._lost = True

    def find_again(self) -> None:
        self._lost = False

    def forget(self, object_id: str) -> None:
        """Lose one key for good."""
        del self.keys[object_id]

    def exchange(self, object_id: str) -> None:
        """Put another key in the place of one: SoftHSM would not notice."""
        self.keys[object_id] = secrets.token_bytes(_KEY_SIZE)

    def break_with(self, bug: Exception | None) -> None:
        """Raise *bug* from every call, which no engine should; None ends it."""
        self._bug = bug

    def _key(self, object_id: str) -> AESGCM:
        self.calls += 1
        self._entered.set()
        assert self._free.wait(_LONGEST_HANG_SECONDS), "nobody released the cipher"
        if self._bug is not None:
            raise self._bug
        if self._lost:
            raise CipherLostError("the token went away")
        if object_id not in self.keys:
            raise CipherLostError("no such key")
        return AESGCM(self.keys[object_id])


class FakeEngine(FakeCipher):
    """A token whose image is its keys: can be made, proved, opened and closed like SoftHSM's.

    forget and exchange outlive an opening, like damage on the volume; lose does not.
    """

    def __init__(self, *, waits: bool = True) -> None:
        super().__init__()
        self.waits = waits
        self.openings = 0
        self._refusal: KleidiError | None = None
        self._spoilt: dict[str, bytes | None] = {}

    def image(self) -> TokenImage:
        return TokenImage(secrets.token_hex(8), _files(self.keys), secrets.token_hex(16))

    def make(self, scratch: Path, object_id: str) -> tuple[TokenImage, bytes]:
        (scratch / "new").mkdir(mode=0o700)
        known_answer = self.generate(object_id)
        image = self.image()
        self.close()
        return image, known_answer

    def prove(self, scratch: Path, image: TokenImage, keyset: KeySet) -> None:
        (scratch / "trial").mkdir(mode=0o700)
        maker = FakeCipher(_keys(image))
        listed = {
            key.object_id: key.known_answer for key in keyset.keys if key.state is not KeyState.DESTROYED
        }
        if {name: maker.known_answer(name) for name in maker.keys} != listed:
            raise KleidiError(faults.TRIAL_FAILED, "the keys are not the ones that are listed")

    def extend(self, scratch: Path, image: TokenImage, object_id: str) -> tuple[TokenImage, bytes]:
        (scratch / "forge").mkdir(mode=0o700)
        maker = FakeCipher(_keys(image))
        if object_id in maker.keys:
            raise KleidiError(faults.TRIAL_FAILED, "the name is given already")
        known_answer = maker.generate(object_id)
        return replace(image, files=_files(maker.keys)), known_answer

    def reduce(self, scratch: Path, image: TokenImage, object_id: str) -> TokenImage:
        (scratch / "forge").mkdir(mode=0o700)
        kept = _keys(image)
        if kept.pop(object_id, None) is None:
            raise KleidiError(faults.TRIAL_FAILED, "no such key")
        return replace(image, files=_files(kept))

    def adopt(self, scratch: Path, image: TokenImage, found: FoundToken) -> AdoptedToken:
        """The found token's only file is its key; its name ends the engine's name of it."""
        (scratch / "survey").mkdir(mode=0o700)
        (value,), ours = found.files.values(), _keys(image)
        if found.key_label in ours:
            raise KleidiError(faults.KEY_ADOPTED_ALREADY)
        maker = FakeCipher({**ours, found.key_label: value})
        answer = maker.known_answer(found.key_label)
        return AdoptedToken(replace(image, files=_files(maker.keys)), found.key_label, answer, private=False)

    def open(self, directory: Path, image: TokenImage) -> None:
        self.close()
        self.openings += 1
        if self._refusal is not None:
            raise self._refusal
        (directory / "tokens").mkdir(mode=0o700)
        kept = {**_keys(image, faults.TOKEN_LOST), **self._spoilt}
        self.keys = {name: value for name, value in kept.items() if value is not None}
        self.find_again()

    def close(self) -> None:
        self.keys = {}

    def spoil(self, object_id: str) -> None:
        """Let every opening find another key in the place of one: SoftHSM would not notice."""
        self._spoilt[object_id] = secrets.token_bytes(_KEY_SIZE)

    def refuse(self, refusal: KleidiError | None) -> None:
        """Raise *refusal* at every opening; None ends it."""
        self._refusal = refusal

    def forget(self, object_id: str) -> None:
        super().forget(object_id)
        self._spoilt[object_id] = None

    def exchange(self, object_id: str) -> None:
        super().exchange(object_id)
        self._spoilt[object_id] = self.keys[object_id]


def _files(keys: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{_FOLDER}{name}": value for name, value in keys.items()}


def _keys(image: TokenImage, fault: Fault = faults.TRIAL_FAILED) -> dict[str, bytes]:
    """What is on a token, whatever else lies there. Raises *fault* of one that is damaged."""
    keys = {
        name.removeprefix(_FOLDER): value for name, value in image.files.items() if name.startswith(_FOLDER)
    }
    if not keys or {len(value) for value in keys.values()} != {_KEY_SIZE}:
        raise KleidiError(fault, "the token is damaged")
    return keys


def _check(nonce: bytes, aad: bytes) -> None:
    if len(nonce) != NONCE_SIZE:
        raise ValueError("a nonce has 12 bytes")
    if not aad:
        raise ValueError("there is no additional data")
