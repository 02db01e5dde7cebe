"""Serve from a token directory that may not be written. Run by `tests.token.unprivileged`."""

import json
import os
import sys
from pathlib import Path

from softhsm import Library, Session, TamperedError, TokenLostError

_NONCE = bytes(12)


def _use(session: Session, object_id: str) -> None:
    ciphertext = session.encrypt(object_id, _NONCE, b"secret", b"aad")
    try:
        session.decrypt(object_id, _NONCE, ciphertext, b"other")
    except TamperedError:
        pass
    else:
        raise AssertionError("the tag was not looked at")
    if session.decrypt(object_id, _NONCE, ciphertext, b"aad") != b"secret":
        raise AssertionError("the answer is wrong")


def main() -> None:
    order = json.load(sys.stdin)
    tokens, served = Path(order["tokens"]), order["served"]
    if os.access(tokens, os.W_OK, effective_ids=True):
        raise AssertionError("the directory can be written")
    library = Library.find()
    for _ in range(2):  # every load is good for one login on each token
        library.load(tokens)
        sessions = [library.find_token(one["serial"]).open(one["user_pin"]) for one in served]
        for session, one in zip(sessions, served, strict=True):
            _use(session, one["object_id"])
        for session in sessions:
            session.close()
    for one in served:
        try:
            library.find_token(one["serial"]).open(one["user_pin"])
        except TokenLostError:
            sys.stdout.write("served\n")
    library.unload()


if __name__ == "__main__":
    main()
