"""Serve from a token directory that may not be written; root first gives up its right to do so anyway."""

import ctypes
import json
import os
import sys
from pathlib import Path

from softhsm import Library, TamperedError, TokenLostError

_CAPABILITY_VERSION_3 = 0x20080522
_MAY_OVERRIDE = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
_NONCE = bytes(12)


def _obey_permissions() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two rounds of effective, permitted and inheritable.
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~_MAY_OVERRIDE
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def main() -> None:
    order = json.load(sys.stdin)
    tokens, object_id = Path(order["tokens"]), order["object_id"]
    _obey_permissions()
    if os.access(tokens, os.W_OK, effective_ids=True):
        raise AssertionError("the directory can be written")
    library = Library.find()
    for _ in range(2):  # every load is good for one login
        library.load(tokens)
        session = library.find_token(order["serial"]).open(order["user_pin"])
        ciphertext = session.encrypt(object_id, _NONCE, b"secret", b"aad")
        try:
            session.decrypt(object_id, _NONCE, ciphertext, b"other")
        except TamperedError:
            pass
        else:
            raise AssertionError("the tag was not looked at")
        if session.decrypt(object_id, _NONCE, ciphertext, b"aad") != b"secret":
            raise AssertionError("the answer is wrong")
        session.close()
    try:
        library.find_token(order["serial"]).open(order["user_pin"])
    except TokenLostError:
        library.unload()
        sys.stdout.write("served\n")


if __name__ == "__main__":
    main()
