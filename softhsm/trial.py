"""Prove a token directory in a fresh process: `python -m softhsm.trial`.

    {"module": path or null, "tokens": path, "tokens_expected": [{"serial", "user_pin", "keys": [KEY]}]}

where a KEY is `{"object_id", "nonce", "plaintext", "aad", "ciphertext"}`, bytes in hex, and null for a
ciphertext that is not known yet. The directory must hold these tokens and no others, and a token of ours
these keys and no others. The answer is `{"ciphertexts": {serial: {object_id: hex}}}`.
"""

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from softhsm import child, foreign
from softhsm.child import Order, TrialFailedError
from softhsm.session import Session


def run(order: Order) -> dict[str, Any]:
    expected = order["tokens_expected"]
    with child.loaded(order) as library, ExitStack() as opened:
        found = [library.find_token(token["serial"]) for token in expected]
        _compare("tokens", [token.serial for token in found], [token.serial for token in library.tokens()])
        # All are open at once, as they will be to serve.
        pairs = zip(found, expected, strict=True)
        sessions = [opened.enter_context(child.opened(token, told["user_pin"])) for token, told in pairs]
        proved = (_prove(*pair) for pair in zip(sessions, expected, strict=True))
        return {"ciphertexts": {token.serial: known for token, known in zip(found, proved, strict=True)}}


def _prove(session: Session, expected: Order) -> dict[str, str]:
    keys = expected["keys"]
    wanted = [key["object_id"] for key in keys]
    # A token that another program made may hold what it likes beside the keys taken over.
    if not any(map(foreign.search, wanted)):
        _compare("keys", wanted, session.object_ids())
    return {key["object_id"]: _prove_key(session, key) for key in keys}


def _prove_key(session: Session, wanted: Order) -> str:
    object_id, known = wanted["object_id"], wanted["ciphertext"]
    session.inspect(object_id)
    ciphertext = child.probed(session, object_id, wanted)
    # Objects have no integrity check in SoftHSM: one flipped bit gives another key under the same id.
    if known is not None and ciphertext != bytes.fromhex(known):
        raise TrialFailedError(f"key {object_id} is not the key it was")
    return ciphertext.hex()


def _compare(what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    if sorted(wanted) != sorted(found):
        missing = ", ".join(sorted(set(wanted) - set(found))) or "none"
        extra = ", ".join(sorted(set(found) - set(wanted))) or "none"
        raise TrialFailedError(f"the {what} are not those listed; missing: {missing}; not listed: {extra}")


if __name__ == "__main__":
    sys.exit(child.answer(run))
