"""What the first format said, in the words of today's: it had one engine, SoftHSM's, and is read for ever.

    manifest.json   the keys; of each the known answer without the nonce that all had, and "token": the serial
    secrets.json    the slots' wrapping keys, and the token's PINs
    tokens/…        SoftHSM's files

The id of a key does not change: its fingerprint is drawn from that known answer, as it was then. Pure.
"""

import json
from collections.abc import Mapping
from typing import Any

from appliance.keys import key_id
from appliance.keys.engine import SOFTHSM

SCHEMA = "kleidi.payload/v1"
_PINS = f"engines/{SOFTHSM}/pins.json"


def upgraded(entries: Mapping[str, bytes], schema: str) -> dict[str, bytes]:
    """*entries* of that *schema* if they are of the first, else as they are. What is unknown in them stays.

    Raises KeyError, TypeError or ValueError.
    """
    entries = dict(entries)
    manifest = json.loads(entries["manifest.json"])
    if manifest["schema"] != SCHEMA:
        return entries
    secrets = json.loads(entries["secrets.json"])
    if _PINS in entries or not all(name.startswith("tokens/") for name in _files(entries)):
        raise ValueError("a file name that the first format does not use")
    kept = {f"engines/{SOFTHSM}/{name}": entries[name] for name in _files(entries)}
    token = manifest.pop("token")
    pins = {
        "serial": token.pop("serial"),
        "user_pin": secrets.pop("user_pin"),
        "adopted": secrets.pop("adopted"),
        **token,  # nothing, unless a later version wrote it: then the engine refuses it
    }
    secrets.pop("so_pin", None)  # forgotten at the token's birth, and written empty
    manifest["schema"] = schema
    for key in manifest["keyset"]["keys"]:
        _with_engine(key)
    return {
        "manifest.json": json.dumps(manifest).encode(),
        "secrets.json": json.dumps(secrets).encode(),
        _PINS: json.dumps(pins).encode(),
        **kept,
    }


def _files(entries: Mapping[str, bytes]) -> list[str]:
    return [name for name in entries if name not in ("manifest.json", "secrets.json")]


def _with_engine(key: dict[str, Any]) -> None:
    answer = bytes.fromhex(key["known_answer"])
    key["engine"] = SOFTHSM
    key["fingerprint"] = key_id.fingerprint(answer)
    key["known_answer"] = (key_id.PROBE_NONCE + answer).hex()
