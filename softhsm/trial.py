"""Prove a token directory in a fresh process: `python -m softhsm.trial`.

One JSON object comes on standard input, since a PIN must be in no argument and no environment; one goes out.
A process of its own, for it must find only what is in the files, and because some damaged files make SoftHSM
end or abort the process it runs in: no answer at all is a failed trial too.
"""

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softhsm.errors import SoftHsmError
from softhsm.library import Library
from softhsm.session import Session


class TrialFailedError(SoftHsmError):
    """The token works, but does not hold or do what it should."""


def run(order: Mapping[str, Any]) -> dict[str, str]:
    """Open the token that *order* describes, and answer what each of its keys makes of its plaintext."""
    module = order["module"]
    library = Library.find(None if module is None else Path(module))
    library.load(Path(order["tokens"]))
    try:
        session = library.find_token(order["serial"]).open(order["user_pin"])
        try:
            _compare([wanted["object_id"] for wanted in order["keys"]], session.object_ids())
            return {wanted["object_id"]: _prove(session, wanted) for wanted in order["keys"]}
        finally:
            session.close()
    finally:
        library.unload()


def _compare(wanted: list[str], found: list[str]) -> None:
    if sorted(wanted) != found:
        missing = ", ".join(sorted(set(wanted) - set(found))) or "none"
        extra = ", ".join(sorted(set(found) - set(wanted))) or "none"
        raise TrialFailedError(f"the keys are not those listed; missing: {missing}; not listed: {extra}")


def _prove(session: Session, wanted: Mapping[str, Any]) -> str:
    object_id = wanted["object_id"]
    nonce, plaintext, aad = (bytes.fromhex(wanted[field]) for field in ("nonce", "plaintext", "aad"))
    session.inspect(object_id)
    ciphertext = session.encrypt(object_id, nonce, plaintext, aad)
    # Objects have no integrity check in SoftHSM: one flipped bit gives another key under the same id.
    if wanted["ciphertext"] is not None and ciphertext != bytes.fromhex(wanted["ciphertext"]):
        raise TrialFailedError(f"key {object_id} is not the key it was")
    if session.decrypt(object_id, nonce, ciphertext, aad) != plaintext:
        raise TrialFailedError(f"key {object_id} does not open what it closed")
    return ciphertext.hex()


def main() -> int:
    # A core would hold the PIN, and SoftHSM does abort on some damaged files.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: dict[str, Any] = {"ciphertexts": run(json.load(sys.stdin))}
    except SoftHsmError as error:
        answer = {"error": type(error).__name__, "detail": str(error)}
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        # Their texts may quote the order, and the PIN is in it.
        answer = {"error": type(error).__name__, "detail": "the order could not be read or carried out"}
    json.dump(answer, sys.stdout)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
