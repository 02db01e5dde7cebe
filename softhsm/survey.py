"""Look into a token directory that another program made: `python -m softhsm.survey`, on a copy of it.

    {"module": path or null, "tokens": path, "label": the token's or null, "user_pin", "key_label",
     "probe": {"nonce", "plaintext", "aad"}}

The answer is `{"serial", "token_label", "directory": the name of its own, "keys": [every secret key on it],
"probe": {…, "ciphertext"}}`, the last by the key with the label *key_label*. A copy, for a login rewrites
the token; it may be read-only.
"""

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from softhsm import child, directory, foreign
from softhsm.child import Order
from softhsm.errors import KeyNotFoundError, TokenNotFoundError
from softhsm.foreign import SecretKey
from softhsm.library import Library
from softhsm.token import Token


def run(order: Order) -> dict[str, Any]:
    probe = {field: order["probe"][field] for field in ("nonce", "plaintext", "aad")}
    with child.loaded(order) as library:
        token = _token(library, order["label"])
        home = directory.home(Path(order["tokens"]), token.serial)
        with child.opened(token, order["user_pin"]) as session:
            keys = session.secret_keys()
            ciphertext = child.probed(session, _key(keys, order["key_label"]), probe)
            return {
                "serial": token.serial,
                "token_label": token.label,
                "directory": home,
                "keys": [asdict(key) for key in keys],
                "probe": probe | {"ciphertext": ciphertext.hex()},
            }


def _token(library: Library, label: str | None) -> Token:
    tokens = library.tokens()
    chosen = [token for token in tokens if label in (None, token.label)]
    if len(chosen) != 1:
        wanted = "are in the directory" if label is None else f"have the label {label!r}"
        found = _found(repr(token.label) for token in tokens)
        raise TokenNotFoundError(f"{len(chosen)} tokens {wanted}; {found}; unreadable: {library.unreadable}")
    return chosen[0]


def _key(keys: list[SecretKey], label: str) -> str:
    object_id = foreign.labelled(label)
    chosen = [key for key in keys if (key.label, key.key_type) == (label, "AES")]
    if len(chosen) != 1:
        found = _found(f"{key.label!r} ({key.key_type} {key.bits})" for key in keys)
        raise KeyNotFoundError(object_id, f"{len(chosen)} AES keys have this label; {found}")
    return object_id


def _found(names: Iterable[str]) -> str:
    return f"found: {', '.join(sorted(names)) or 'none'}"


if __name__ == "__main__":
    sys.exit(child.answer(run))
