"""An engine of keys in plain memory, and the ways in which a test can make it misbehave.

Obeys the same contract as SoftHSM's (tests/contract/), so it may stand in for it.
"""

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys import key_id
from appliance.keys.engine import (
    Adoption,
    AwayError,
    EngineState,
    LostError,
    Made,
    OffError,
    TamperedError,
)
from appliance.keys.engines import Engines
from appliance.keys.envelope import NONCE_SIZE, TAG_SIZE
from appliance.keys.found import FoundToken

_PIN, _FOLDER = "pin", "keys/"
_KEY_SIZE = 32
# A test that forgot to let go must fail, not hang.
_LONGEST_HANG_SECONDS = 60


class FakeCipher:
    """AES-256-GCM under *keys*, by object id."""

    def __init__(
        self,
        keys: Mapping[str, bytes] | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.keys = dict(keys or {})
        self.random = random
        self.calls = 0
        self._free = threading.Event()
        self._free.set()
        self._entered = threading.Event()
        self._lost = False
        self._bug: Exception | None = None

    def wrap(self, key: str, plaintext: bytes, aad: bytes) -> bytes:
        if not plaintext:
            raise ValueError("there is no plaintext")
        _check(aad)
        nonce = self.random(NONCE_SIZE)
        return nonce + self._key(key).encrypt(nonce, plaintext, aad)

    def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
        if len(body) <= NONCE_SIZE + TAG_SIZE:
            raise ValueError("the ciphertext is no longer than its tag")
        _check(aad)
        try:
            return self._key(key).decrypt(body[:NONCE_SIZE], body[NONCE_SIZE:], aad)
        except InvalidTag as error:
            raise TamperedError("the tag does not fit") from error

    def generate(self, object_id: str) -> Made:
        """Make a key, which no state holds yet."""
        self.keys[object_id] = secrets.token_bytes(_KEY_SIZE)
        return self.made(object_id)

    def made(self, object_id: str, state: EngineState = EngineState()) -> Made:  # noqa: B008  frozen
        """What there is to tell of a key that *state* holds; its known answer repeats, as SoftHSM's does."""
        return made(object_id, self.known_answer(object_id)[NONCE_SIZE:], state)

    def known_answer(self, object_id: str) -> bytes:
        key = AESGCM(self.keys[object_id])
        return key_id.PROBE_NONCE + key.encrypt(key_id.PROBE_NONCE, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD)

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
            raise LostError("the token went away")
        if object_id not in self.keys:
            raise LostError("no such key")
        return AESGCM(self.keys[object_id])


class FakeEngine(FakeCipher):
    """A token whose state is its keys: can be made, proved, opened and closed like SoftHSM's.

    forget and exchange outlive an opening, like damage on the volume; lose does not.
    """

    remote = False

    def __init__(self, *, waits: bool = True) -> None:
        super().__init__()
        self.waits = waits
        self.openings = 0
        self._refusal: KleidiError | None = None
        self._spoilt: dict[str, bytes | None] = {}

    @property
    def lanes(self) -> int:
        return 1 if self.waits else 0

    @property
    def alone(self) -> Engines:
        """The one engine that there is."""
        return Engines.of(softhsm=self)

    def state(self) -> EngineState:
        return _state(self.keys, secrets.token_hex(16))

    def make(self, scratch: Path, state: EngineState, wish: str) -> Made:
        (scratch / ("forge" if state else "new")).mkdir(mode=0o700)
        maker = FakeCipher(_keys(state) if state else {})
        if wish in maker.keys:
            raise KleidiError(faults.TRIAL_FAILED, "the name is given already")
        maker.generate(wish)
        pin = state.files[_PIN].decode() if state else secrets.token_hex(16)
        return maker.made(wish, _state(maker.keys, pin))

    def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:
        (scratch / "trial").mkdir(mode=0o700)
        maker = FakeCipher(_keys(state))
        if {name: maker.known_answer(name) for name in maker.keys} != dict(known_answers):
            raise KleidiError(faults.TRIAL_FAILED, "the keys are not the ones that are listed")

    def destroy(self, scratch: Path, state: EngineState, object_id: str) -> EngineState:
        (scratch / "forge").mkdir(mode=0o700)
        kept = _keys(state)
        if kept.pop(object_id, None) is None:
            raise KleidiError(faults.TRIAL_FAILED, "no such key")
        return _state(kept, state.files[_PIN].decode())

    def adopt(self, scratch: Path, state: EngineState, found: FoundToken) -> Adoption:
        """The found token's only file is its key; its label becomes the engine's name of it."""
        (scratch / "survey").mkdir(mode=0o700)
        (value,), ours = found.files.values(), _keys(state)
        if found.key_label in ours:
            raise KleidiError(faults.KEY_ADOPTED_ALREADY)
        maker = FakeCipher({**ours, found.key_label: value})
        changed = _state(maker.keys, state.files[_PIN].decode())
        return Adoption(maker.made(found.key_label, changed), "the old token keeps it in plaintext")

    def needs(self, _state: EngineState) -> str:
        return ""

    def open(self, directory: Path, state: EngineState) -> None:
        self.close()
        self.openings += 1
        if self._refusal is not None:
            raise self._refusal
        (directory / "tokens").mkdir(mode=0o700)
        kept = {**_keys(state, faults.TOKEN_LOST), **self._spoilt}
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


def made(object_id: str, answer: bytes, state: EngineState = EngineState()) -> Made:  # noqa: B008  frozen
    """A key that is known by *answer*, which need not be one that any key gives."""
    return Made(state, object_id, key_id.PROBE_NONCE + answer, print_source=answer)


def _state(keys: Mapping[str, bytes], pin: str) -> EngineState:
    return EngineState({_PIN: pin.encode(), **{f"{_FOLDER}{name}": value for name, value in keys.items()}})


def _keys(state: EngineState, fault: Fault = faults.TRIAL_FAILED) -> dict[str, bytes]:
    """What is in a state, whatever else lies there. Raises *fault* of one that is damaged."""
    keys = {
        name.removeprefix(_FOLDER): value for name, value in state.files.items() if name.startswith(_FOLDER)
    }
    if not keys or {len(value) for value in keys.values()} != {_KEY_SIZE}:
        raise KleidiError(fault, "the token is damaged")
    return keys


def _check(aad: bytes) -> None:
    if not aad:
        raise ValueError("there is no additional data")


class FakeRemote(FakeCipher):
    """Keys in a place of their own, which may be away, hang, or switch a key off; a state holds only names.

    What *elsewhere* holds is what all who share it hold.
    """

    remote = True

    def __init__(self, elsewhere: dict[str, bytes] | None = None, lanes: int = 4) -> None:
        super().__init__()
        self.keys = {} if elsewhere is None else elsewhere
        self.lanes = lanes
        self.openings = 0
        self._is_open = False
        self.away: AwayError | None = None
        self.off: dict[str, OffError] = {}
        self.warnings: dict[Fault, str] = {}

    def leave(self, fault: Fault, detail: str = "") -> None:
        """Be out of reach until come_back."""
        self.away = AwayError(fault, detail)

    def come_back(self) -> None:
        self.away = None

    def open(self, directory: Path, state: EngineState) -> None:
        del directory, state
        self.openings += 1
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    def make(self, scratch: Path, state: EngineState, wish: str) -> Made:
        del scratch
        self._reach()
        self.generate(wish)
        names = [*json.loads(state.files["names"]), wish] if state else [wish]
        return self.made(wish, EngineState({"names": json.dumps(names).encode()}))

    def destroy(self, scratch: Path, state: EngineState, object_id: str) -> EngineState:
        """It remembers what it gave up: none is taken up twice."""
        del scratch
        if object_id not in json.loads(state.files["names"]):
            raise KleidiError(faults.TRIAL_FAILED, "no such key")
        return state

    def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:
        del scratch, state
        self._reach()
        for name, answer in known_answers.items():
            if name not in self.keys or self.known_answer(name) != answer:
                raise KleidiError(faults.TRIAL_FAILED, "the keys are not the ones that are listed")

    def find(self, state: EngineState, fingerprint: str) -> Made | None:
        if self.away is not None:
            raise self.away
        names = json.loads(state.files["names"]) if state else []
        for name in self.keys.keys() - set(names):
            if key_id.fingerprint(self.made(name).print_source) == fingerprint:
                return self.made(name, EngineState({"names": json.dumps([*names, name]).encode()}))
        return None

    def needs(self, state: EngineState) -> str:
        return f"the fake's keys {', '.join(json.loads(state.files['names']))}" if state else ""

    def inspect(self) -> Mapping[Fault, str]:
        if self.away is not None:
            raise self.away
        return self.warnings

    def _reach(self) -> None:
        if self.away is not None:
            raise KleidiError(self.away.fault, self.away.detail)

    def _key(self, object_id: str) -> AESGCM:
        key = super()._key(object_id) if object_id in self.keys else None
        if not self._is_open:
            raise LostError("it is closed")
        if self.away is not None:
            raise self.away
        if object_id in self.off:
            raise self.off[object_id]
        if key is None:
            raise OffError(faults.KEY_UNREADABLE, "there is no such key")
        return key
