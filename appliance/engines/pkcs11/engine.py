"""The engine whose keys are objects of a PKCS#11 token; the seal keeps only their names.

A key is made in the device, proved there, and named by the commit that follows. A commit that fails leaves an
object that no key id names: `inspect` counts those. A key is destroyed the other way round: `destroy` only
condemns it, and the device loses it at the first `inspect` of an open state that has it condemned, which is
behind the commit. So a commit that fails never costs a key that was announced.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance import faults
from appliance.engines.pkcs11 import inspection
from appliance.engines.pkcs11.state import Held
from appliance.engines.pkcs11.words import of_a_call
from appliance.faults import Fault, KleidiError
from appliance.keys import key_id
from appliance.keys.engine import AwayError, EngineState, LostError, Made
from appliance.pkcs11.connection import Connection
from appliance.pkcs11.options import Pkcs11Options
from appliance.pkcs11.words import of_a_change
from softhsm.pkcs11 import key
from softhsm.pkcs11.cipher import Cipher
from softhsm.pkcs11.errors import KeyGoneError, Pkcs11Error, TamperedError

_PROBE: Final = (key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD)


class Pkcs11Engine:
    """Without *options* nothing can be reached, and every call says so; opening and closing do nothing."""

    def __init__(self, options: Pkcs11Options | None) -> None:
        self._options = options
        self._held: Held | None = None
        self._open: Connection | None = None

    @property
    def lanes(self) -> int:
        return self._options.lanes if self._options else 1

    @property
    def remote(self) -> bool:
        return True

    def open(self, directory: Path, state: EngineState) -> None:  # noqa: ARG002  the keys are elsewhere
        try:
            held, before = Held.read(state), self._open
        except KleidiError:
            # What does not open leaves nothing open.
            self.close()
            raise
        if self._options is not None:
            # Ahead of letting go, so that another state of the same token costs no login.
            self._open = Connection.of(self._options)
            self._open.hold()
        self._held = held
        if before is not None:
            before.release()

    def close(self) -> None:
        opened, self._open, self._held = self._open, None, None
        if opened is not None:
            opened.release()

    def wrap(self, key: str, plaintext: bytes, aad: bytes) -> bytes:
        cipher = self._opened().cipher
        with of_a_call():
            return cipher.encrypt(key, plaintext, aad)

    def unwrap(self, key: str, body: bytes, aad: bytes) -> bytes:
        cipher = self._opened().cipher
        with of_a_call():
            return cipher.decrypt(key, body, aad)

    def make(self, scratch: Path, state: EngineState, wish: str) -> Made:  # noqa: ARG002
        held = Held.read(state).marked()
        with self._reached().held() as reached, of_a_change():
            device = reached.device
            reached.cipher.demand()
            token = device.token()
            if device.run(lambda _, session: session.find(identity=key.identity(wish))):
                # Not one of ours, so it must not be cleared away below.
                raise KleidiError(faults.PKCS11_DENIED, f"the token has an object {wish} already")
            try:
                device.run(lambda _, session: key.make(session, wish, held.object_label), writes=True)
                known = _answer(reached.cipher, wish)
            except BaseException:
                _clear_away(reached, wish)
                raise
        made = held.with_key(wish, token.serial, token.label).written()
        # Of a nonce that is drawn nobody could find it again: it is written down with the key.
        return Made(made, wish, known, print_source=known)

    def destroy(self, scratch: Path, state: EngineState, object_id: str) -> EngineState:  # noqa: ARG002
        return Held.read(state).condemn(object_id).written()

    def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:  # noqa: ARG002
        """In this process: a device may have few sessions, and one login."""
        Held.read(state)
        if not known_answers:
            return
        with self._reached().held() as reached, of_a_change():
            for object_id, known in known_answers.items():
                _prove(reached.cipher, object_id, known)

    def needs(self, state: EngineState) -> str:
        held, options = Held.read(state), self._options
        if held.serial or held.label:
            return f'PKCS#11 token "{held.label}" serial {held.serial}'
        if options is None:
            return "a PKCS#11 token"
        return " ".join(["PKCS#11 token", *([f'"{options.label}"'] * bool(options.label))])

    def inspect(self) -> Mapping[Fault, str]:
        opened, held = self._opened(), self._held or Held()
        with of_a_call():
            return inspection.of(opened.device, held)

    def _opened(self) -> Connection:
        if self._options is None:
            raise AwayError(faults.PKCS11_UNSET)
        if self._open is None:
            raise LostError("the engine is not open")
        return self._open

    def _reached(self) -> Connection:
        if self._options is None:
            raise KleidiError(faults.PKCS11_UNSET)
        return Connection.of(self._options)


def _answer(cipher: Cipher, object_id: str) -> bytes:
    known = cipher.encrypt(object_id, *_PROBE)
    _prove(cipher, object_id, known)
    return known


def _prove(cipher: Cipher, object_id: str, known: bytes) -> None:
    """The key opens its known answer, and what it closes now. Raises E-TRIAL-FAILED."""
    plaintext, aad = _PROBE
    try:
        opened = cipher.decrypt(object_id, known, aad)
        again = cipher.decrypt(object_id, cipher.encrypt(object_id, plaintext, aad), aad)
    except KeyGoneError as error:
        raise KleidiError(faults.TRIAL_FAILED, str(error)) from error
    except (TamperedError, ValueError) as error:
        raise KleidiError(faults.TRIAL_FAILED, f"object {object_id} is not the key that it was") from error
    if opened != plaintext or again != plaintext:
        raise KleidiError(faults.TRIAL_FAILED, f"object {object_id} does not open what it closed")


def _clear_away(reached: Connection, object_id: str) -> None:
    """A key that could not be proved, or of which nobody knows whether it was made."""
    try:
        reached.device.run(lambda _, session: inspection.destroy(session, object_id), writes=True)
    except Pkcs11Error:
        return
