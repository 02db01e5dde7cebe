"""A token in memory, opened for good; what changes it is in `changes`."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import softhsm
from appliance import faults
from appliance.engines.softhsm import child, forge
from appliance.engines.softhsm.image import TokenImage
from appliance.keys import key_id
from appliance.keys.engine import Adoption, EngineState, LostError, Made, TamperedError
from appliance.keys.envelope import NONCE_SIZE
from appliance.keys.found import FoundToken
from appliance.volume import memory


@dataclass(frozen=True)
class _LaidOut:
    """A token's files in memory: where, of what state, and the same as an image."""

    directory: Path
    state: EngineState
    image: TokenImage

    @property
    def tokens(self) -> Path:
        return self.directory / "tokens"


def _laid_out(directory: Path, state: EngineState) -> _LaidOut:
    laid_out = _LaidOut(directory, state, TokenImage.from_state(state, faults.TOKEN_LOST))
    memory.unpack(laid_out.image.files, laid_out.tokens)
    return laid_out


class SoftHsmEngine:
    """A token in memory. Opening comes from one thread; the token room has a lock for the rest."""

    # Nothing outside takes part, and the interpreter's lock is held for the few microseconds of a call,
    # whichever thread makes it (docs/adr/0004): a second thread would buy nothing.
    lanes = 0
    remote = False

    def __init__(self, module: Path | None = None) -> None:
        self._module = module
        self._library: softhsm.Library | None = None
        self._sessions: dict[str, softhsm.Session] = {}
        self._own = ""
        self._prepared: _LaidOut | None = None

    def make(self, scratch: Path, state: EngineState, wish: str) -> Made:
        """A new token with one key, or one more key on the token that there is."""
        if state:
            return forge.extended(self._module, scratch, TokenImage.from_state(state), wish)
        tokens = scratch / "new"
        tokens.mkdir(mode=0o700)
        user_pin = secrets.token_urlsafe(32)
        try:
            self._load(tokens)
            token = self._loaded().initialize_token(forge.LABEL, user_pin, secrets.token_urlsafe(32))
            session = self._sessions[token.serial] = token.open(user_pin)
            session.generate(wish, forge.LABEL)
            answer = session.encrypt(wish, key_id.PROBE_NONCE, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD)
        except softhsm.SoftHsmError as error:
            raise child.told(error, child.blamed(scratch, faults.TRIAL_FAILED)) from error
        finally:
            self.close()
        return forge.made(TokenImage(token.serial, memory.collect(tokens), user_pin), wish, answer)

    def destroy(self, scratch: Path, state: EngineState, object_id: str) -> EngineState:
        """An adopted key goes with its whole token."""
        return forge.reduced(self._module, scratch, TokenImage.from_state(state), object_id)

    def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:
        """Let a process that never saw this token open it and check every key's known answer."""
        forge.proved(self._module, scratch, TokenImage.from_state(state), known_answers)

    def adopt(self, scratch: Path, state: EngineState, found: FoundToken) -> Adoption:
        return forge.adopted(self._module, scratch, state, found)

    def needs(self, _state: EngineState) -> str:
        return ""

    def prepare(self, directory: Path, state: EngineState) -> None:
        """Lay out the token's files: of a thousand keys a third of what opening takes.

        No more can be done: a process has one life of the module, and it serves what is open.
        """
        self._prepared = _laid_out(directory, state)

    def open(self, directory: Path, state: EngineState) -> None:
        """Log in, once, to the token laid out in *directory*."""
        switching = bool(self._sessions)
        self.close()
        ready, self._prepared = self._prepared, None
        if ready is None or (ready.directory, ready.state) != (directory, state):
            ready = _laid_out(directory, state)
        image = ready.image
        try:
            self._load(ready.tokens)
            self._own = image.serial
            for serial, pin in image.pins.items():
                self._sessions[serial] = self._loaded().find_token(serial).open(pin, copies=True)
            # Once for all keys, which are about to be proved: a search for each of a thousand would read a
            # million objects. Not while calls wait, for it takes longer than the search for those in use.
            if not switching:
                self._sessions[self._own].object_ids()
        except softhsm.SoftHsmError as error:
            raise child.told(error, faults.TOKEN_LOST) from error

    def wrap(self, key: str, plaintext: bytes, aad: bytes) -> bytes:
        """Under a nonce of the system's random source, which SoftHSM cannot draw by itself."""
        session, object_id = self._session_of(key)
        nonce = secrets.token_bytes(NONCE_SIZE)
        try:
            return nonce + session.encrypt(object_id, nonce, plaintext, aad)
        except softhsm.SoftHsmError as error:
            raise LostError(str(error)) from error

    def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
        session, object_id = self._session_of(key)
        # Only a known answer asks the token's files: calls are served from copies, and would not miss them.
        opens = session.attest if aad == key_id.PROBE_AAD else session.decrypt
        try:
            return opens(object_id, body[:NONCE_SIZE], body[NONCE_SIZE:], aad)
        except softhsm.TamperedError as error:
            raise TamperedError(str(error)) from error
        except softhsm.SoftHsmError as error:
            raise LostError(str(error)) from error

    def copied(self, key: str) -> bool | None:
        try:
            session, object_id = self._session_of(key)
        except LostError:
            return None
        return session.copied(object_id)

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        if self._library is not None:
            self._library.unload()

    def _session_of(self, key: str) -> tuple[softhsm.Session, str]:
        """The session and the token's own name of *key*: ours are named plainly, adopted ones serial/name."""
        serial, slash, object_id = key.partition("/")
        session = self._sessions.get(serial if slash else self._own)
        if session is None:
            raise LostError("no token is open")
        return session, object_id if slash else key

    def _load(self, tokens: Path) -> None:
        self._library = self._library or softhsm.Library.find(self._module)
        self._library.load(tokens)

    def _loaded(self) -> softhsm.Library:
        if self._library is None:
            raise LostError("no module is loaded")
        return self._library
