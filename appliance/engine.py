"""The SoftHSM engine: what the keyring and the provisioner need, said in PKCS#11.

The only room of the appliance that knows `softhsm`; nobody but the assembly knows this one.
"""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import softhsm
from appliance import faults
from appliance.faults import KleidiError
from appliance.keys import key_id
from appliance.keys.cipher import CipherLostError, TamperedError
from appliance.keys.keyset import KeySet
from appliance.volume import memory
from appliance.volume.payload import TokenImage

_LABEL = "kleidi"
_TRIAL_SECONDS = 60


class SoftHsmEngine:
    """A token in memory. All calls come from one thread at a time."""

    # Nothing outside takes part, and PyKCS11 holds the interpreter's lock for the 70 us of a call
    # whichever thread makes it (no PyEval_SaveThread in its module): a second thread would buy nothing.
    waits = False

    def __init__(self, module: Path | None = None) -> None:
        self._module = module
        self._library: softhsm.Library | None = None
        self._session: softhsm.Session | None = None

    def make(self, scratch: Path, object_id: str) -> tuple[TokenImage, bytes]:
        """A new token with one new key named *object_id*, and that key's known answer."""
        tokens = scratch / "new"
        tokens.mkdir(mode=0o700)
        user_pin, so_pin = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        try:
            self._load(tokens)
            token = self._loaded().initialize_token(_LABEL, user_pin, so_pin)
            self._session = token.open(user_pin)
            self._session.generate(object_id, _LABEL)
            known_answer = self._session.encrypt(
                object_id, key_id.PROBE_NONCE, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD
            )
        except softhsm.SoftHsmError as error:
            raise KleidiError(faults.TRIAL_FAILED, f"{type(error).__name__}: {error}") from error
        finally:
            self.close()
        return TokenImage(token.serial, memory.collect(tokens), user_pin, so_pin), known_answer

    def prove(self, scratch: Path, image: TokenImage, keyset: KeySet) -> None:
        """Let a process that never saw this token open it and check every key's known answer."""
        tokens = scratch / "trial"
        memory.unpack(image.files, tokens)
        question = {
            "module": str(self._module) if self._module else None,
            "tokens": str(tokens),
            "serial": image.serial,
            "user_pin": image.user_pin,
            "keys": [
                {
                    "object_id": key.object_id,
                    "nonce": key_id.PROBE_NONCE.hex(),
                    "plaintext": key_id.PROBE_PLAINTEXT.hex(),
                    "aad": key_id.PROBE_AAD.hex(),
                    "ciphertext": key.known_answer.hex(),
                }
                for key in keyset.keys
            ],
        }
        # The PIN goes by a pipe: argv and the environment can be read by others.
        command = [sys.executable, "-I", "-m", "softhsm.trial"]
        trial = subprocess.run(  # noqa: S603  our own interpreter, our own module
            command,
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
        if trial.returncode != 0:
            raise KleidiError(faults.TRIAL_FAILED, trial.stdout.strip() or trial.stderr.strip()[-300:])

    def open(self, directory: Path, image: TokenImage) -> None:
        """Log in, once, to *image* laid out in *directory*, a private place in memory."""
        self.close()
        tokens = directory / "tokens"
        memory.unpack(image.files, tokens)
        try:
            self._load(tokens)
            self._session = self._loaded().find_token(image.serial).open(image.user_pin)
        except softhsm.SoftHsmError as error:
            raise KleidiError(faults.TOKEN_LOST, f"{type(error).__name__}: {error}") from error

    def encrypt(self, key: str, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        try:
            return self._opened().encrypt(key, nonce, plaintext, aad)
        except softhsm.SoftHsmError as error:
            raise CipherLostError(str(error)) from error

    def decrypt(self, key: str, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        try:
            return self._opened().decrypt(key, nonce, ciphertext, aad)
        except softhsm.TamperedError as error:
            raise TamperedError(str(error)) from error
        except softhsm.SoftHsmError as error:
            raise CipherLostError(str(error)) from error

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._library is not None:
            self._library.unload()

    def _load(self, tokens: Path) -> None:
        try:
            self._library = self._library or softhsm.Library.find(self._module)
        except softhsm.ModuleMissingError as error:
            raise KleidiError(faults.MODULE_MISSING, str(error)) from error
        self._library.load(tokens)

    def _loaded(self) -> softhsm.Library:
        if self._library is None:
            raise CipherLostError("no module is loaded")
        return self._library

    def _opened(self) -> softhsm.Session:
        if self._session is None:
            raise CipherLostError("no token is open")
        return self._session
