"""Change a token in a process of its own: `python -m softhsm.forge`, on a copy that nobody else has open.

    {"module": path or null, "tokens": path, "serial", "user_pin",
     "generate": [{"object_id", "label"}], "destroy": [object_id], "probe": {"nonce", "plaintext", "aad"}}

The answer is `{"ciphertexts": {object_id: hex}}`, of every new key under the probe. After anything but an
answer of success the copy may be half changed and is to be thrown away.
"""

import sys
from pathlib import Path
from typing import Any

from softhsm import child, directory
from softhsm.child import Order, TrialFailedError


def run(order: Order) -> dict[str, Any]:
    made, destroyed = [new["object_id"] for new in order["generate"]], order["destroy"]
    # Destroying an object fails when its lock file cannot be removed, too (OSToken.cpp, deleteObject);
    # a token that was laid out from its files alone has none, for they hold nothing.
    for token in directory.entries(Path(order["tokens"])):
        for path in directory.entries(token) if token.is_dir() else ():
            if path.suffix == ".object":
                path.with_suffix(".lock").touch(mode=0o600)
    with (
        child.loaded(order) as library,
        child.opened(library.find_token(order["serial"]), order["user_pin"]) as session,
    ):
        before = session.object_ids()
        for object_id in destroyed:
            session.destroy(object_id)
        for new in order["generate"]:
            session.generate(new["object_id"], new["label"])
        if session.object_ids() != sorted({*before, *made} - {*destroyed}):
            raise TrialFailedError("the keys are not those that were to remain and to be made")
        return {"ciphertexts": {new: child.probed(session, new, order["probe"]).hex() for new in made}}


if __name__ == "__main__":
    sys.exit(child.answer(run))
