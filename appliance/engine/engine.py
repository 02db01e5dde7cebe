"""The engine: a token in memory, opened for good or changed for the next generation."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import softhsm
from appliance import faults
from appliance.engine import child
from appliance.faults import Fault, KleidiError
from appliance.keys import key_id
from appliance.keys.cipher import CipherLostError, TamperedError
from appliance.keys.keyset import KeySet, KeyState
from appliance.volume import memory
from appliance.volume.payload import AdoptedToken, FoundToken, TokenImage

_LABEL = "kleidi"
_PROBE = {
    "nonce": key_id.PROBE_NONCE.hex(),
    "plaintext": key_id.PROBE_PLAINTEXT.hex(),
    "aad": key_id.PROBE_AAD.hex(),
}


class SoftHsmEngine:
    """A token in memory. Opening comes from one thread; the token room has a lock for the rest."""

    # Nothing outside takes part, and PyKCS11 holds the interpreter's lock for the 70 us of a call
    # whichever thread makes it (no PyEval_SaveThread in its module): a second thread would buy nothing.
    waits = False

    def __init__(self, module: Path | None = None) -> None:
        self._module = module
        self._library: softhsm.Library | None = None
        self._sessions: dict[str, softhsm.Session] = {}
        self._own = ""

    def make(self, scratch: Path, object_id: str) -> tuple[TokenImage, bytes]:
        """A new token with one new key named *object_id*, and that key's known answer."""
        tokens = scratch / "new"
        tokens.mkdir(mode=0o700)
        user_pin = secrets.token_urlsafe(32)
        try:
            self._load(tokens)
            token = self._loaded().initialize_token(_LABEL, user_pin, secrets.token_urlsafe(32))
            session = self._sessions[token.serial] = token.open(user_pin)
            session.generate(object_id, _LABEL)
            known_answer = session.encrypt(
                object_id, key_id.PROBE_NONCE, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD
            )
        except softhsm.SoftHsmError as error:
            raise child.told(error, child.blamed(scratch, faults.TRIAL_FAILED)) from error
        finally:
            self.close()
        return TokenImage(token.serial, memory.collect(tokens), user_pin), known_answer

    def extend(self, scratch: Path, image: TokenImage, object_id: str) -> tuple[TokenImage, bytes]:
        """*image* with one more key named *object_id*, and that key's known answer."""
        tokens = self._scratch_copy(scratch, image)
        order = {"generate": [{"object_id": object_id, "label": _LABEL}], "destroy": []}
        answer = self._forge(tokens, image, order)
        changed = replace(image, files=memory.collect(tokens))
        return changed, bytes.fromhex(answer["ciphertexts"][object_id])

    def reduce(self, scratch: Path, image: TokenImage, object_id: str) -> TokenImage:
        """*image* without the key named *object_id*; an adopted key goes with its whole token."""
        adopted, slash, _ = object_id.partition("/")
        if slash:
            gone = _adopted_directory(adopted)
            files = {name: data for name, data in image.files.items() if not name.startswith(gone)}
            pins = {serial: pin for serial, pin in image.adopted_pins.items() if serial != adopted}
            return replace(image, files=files, adopted_pins=pins)
        tokens = self._scratch_copy(scratch, image)
        self._forge(tokens, image, {"generate": [], "destroy": [object_id]})
        return replace(image, files=memory.collect(tokens))

    def prove(self, scratch: Path, image: TokenImage, keyset: KeySet) -> None:
        """Let a process that never saw this token open it and check every key's known answer."""
        tokens = scratch / "trial"
        memory.unpack(image.files, tokens)
        pins = {image.serial: image.user_pin, **image.adopted_pins}
        expected: dict[str, list[dict[str, str]]] = {serial: [] for serial in pins}
        for key in keyset.keys:
            if key.state is not KeyState.DESTROYED:
                serial, slash, name = key.object_id.partition("/")
                object_id = name if slash else key.object_id
                known = {"object_id": object_id, **_PROBE, "ciphertext": key.known_answer.hex()}
                expected[serial if slash else image.serial].append(known)
        tokens_expected = [
            {"serial": serial, "user_pin": pins[serial], "keys": keys} for serial, keys in expected.items()
        ]
        self._child("softhsm.trial", tokens, {"tokens_expected": tokens_expected})

    def _scratch_copy(self, scratch: Path, image: TokenImage) -> Path:
        tokens = scratch / "forge"
        memory.lay_out(image.files, tokens)
        return tokens

    def _forge(self, tokens: Path, image: TokenImage, order: Mapping[str, object]) -> dict[str, Any]:
        return self._child(
            "softhsm.forge",
            tokens,
            {"serial": image.serial, "user_pin": image.user_pin, "probe": _PROBE, **order},
        )

    def _child(
        self, program: str, tokens: Path, order: Mapping[str, object], fault: Fault = faults.TRIAL_FAILED
    ) -> dict[str, Any]:
        module = str(self._module) if self._module else None
        return child.run(program, tokens, {"module": module, "tokens": str(tokens), **order}, fault)

    def adopt(self, scratch: Path, image: TokenImage, found: FoundToken) -> AdoptedToken:
        """Raises E-TOKEN-NOT-ADOPTED, and E-KEY-ADOPTED-ALREADY for a token that is beside ours."""
        tokens = scratch / "survey"
        memory.lay_out(found.files, tokens)
        question = {"label": found.token_label or None, "user_pin": found.pin, "key_label": found.key_label}
        answer = self._child(
            "softhsm.survey", tokens, {**question, "probe": _PROBE}, faults.TOKEN_NOT_ADOPTED
        )
        serial = answer["serial"]
        if serial in (image.serial, *image.adopted_pins):
            raise KleidiError(faults.KEY_ADOPTED_ALREADY, f"token {serial}")
        # Its directory gets a name of ours: SoftHSM takes any, and two that were renamed could have the same.
        theirs, ours = f"{answer['directory']}/", _adopted_directory(serial)
        files = {
            ours + name.removeprefix(theirs): data
            for name, data in found.files.items()
            if name.startswith(theirs)
        }
        changed = replace(
            image,
            files={**image.files, **files},
            adopted_pins={**image.adopted_pins, serial: found.pin},
        )
        private = all(key["private"] for key in answer["keys"] if key["label"] == found.key_label)
        reference = f"{serial}/label:{found.key_label}"
        return AdoptedToken(changed, reference, bytes.fromhex(answer["probe"]["ciphertext"]), private)

    def open(self, directory: Path, image: TokenImage) -> None:
        """Log in, once, to *image* laid out in *directory*, a private place in memory."""
        switching = bool(self._sessions)
        self.close()
        tokens = directory / "tokens"
        memory.unpack(image.files, tokens)
        try:
            self._load(tokens)
            self._own = image.serial
            for serial, pin in {image.serial: image.user_pin, **image.adopted_pins}.items():
                self._sessions[serial] = self._loaded().find_token(serial).open(pin)
            # Once for all keys, which are about to be proved: a search for each of a thousand would read a
            # million objects. Not while calls wait, for it takes longer than the search for those in use.
            if not switching:
                self._sessions[self._own].object_ids()
        except softhsm.SoftHsmError as error:
            raise child.told(error, faults.TOKEN_LOST) from error

    def encrypt(self, key: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext and tag. Raises CipherLostError, or ValueError for what no caller of ours may ask."""
        session, object_id = self._session_of(key)
        try:
            return session.encrypt(object_id, nonce, plaintext, aad)
        except softhsm.SoftHsmError as error:
            raise CipherLostError(str(error)) from error

    def decrypt(self, key: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """As encrypt; and TamperedError, which is the caller's trouble and not the token's."""
        session, object_id = self._session_of(key)
        try:
            return session.decrypt(object_id, nonce, ciphertext, aad)
        except softhsm.TamperedError as error:
            raise TamperedError(str(error)) from error
        except softhsm.SoftHsmError as error:
            raise CipherLostError(str(error)) from error

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
            raise CipherLostError("no token is open")
        return session, object_id if slash else key

    def _load(self, tokens: Path) -> None:
        self._library = self._library or softhsm.Library.find(self._module)
        self._library.load(tokens)

    def _loaded(self) -> softhsm.Library:
        if self._library is None:
            raise CipherLostError("no module is loaded")
        return self._library


def _adopted_directory(serial: str) -> str:
    return f"adopted-{serial}/"
