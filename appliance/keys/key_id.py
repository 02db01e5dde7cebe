"""Key ids: `kleidi/<lineage>/v<version>/<fingerprint>`, public, and never used for a second key."""

import hashlib
import re

from appliance import faults
from appliance.faults import KleidiError

# The API server's own bound (kmsv2/envelope.go, ValidateKeyID).
MAX_SIZE = 1024

LINEAGE = re.compile(r"[0-9a-f]{12}")
_OURS = re.compile(rf"kleidi/({LINEAGE.pattern})/v([1-9][0-9]{{0,9}})/([0-9a-f]{{12}})")

# One fixed encryption is both a key's known answer and the source of its fingerprint.
# Its nonce and plaintext never change, so it can never pair with another plaintext
# under the same nonce. Not the usual check value: E_K(0) is GCM's hash subkey.
PROBE_NONCE = b"kleidi/probe"
PROBE_PLAINTEXT = b"kleidi known-answer plaintext v1"
PROBE_AAD = b"kleidi/known-answer/v1"


def fingerprint(known_answer: bytes) -> str:
    """48 bits, in hex, of a hash over the probe's ciphertext: tells keys apart, tells nothing of them."""
    return hashlib.sha256(b"kleidi/fingerprint/v1" + known_answer).hexdigest()[:12]


def compose(lineage: str, version: int, print_: str) -> str:
    return f"kleidi/{lineage}/v{version}/{print_}"


def parts(key_id: str) -> tuple[int, str]:
    """Version and fingerprint that an id of ours names; (0, "") for any other plugin's."""
    found = _OURS.fullmatch(key_id)
    return (int(found[2]), found[3]) if found else (0, "")


def lineage(key_id: str) -> str:
    """The lineage that an id of ours names; empty for any other plugin's."""
    found = _OURS.fullmatch(key_id)
    return found[1] if found else ""


def check(key_id: str) -> None:
    """Refuse what no plugin could have announced.

    An id of another plugin is well-formed: it is unknown, not malformed.
    """
    if not key_id or len(key_id) > MAX_SIZE or not key_id.isascii() or not key_id.isprintable():
        raise KleidiError(faults.KEY_ID_INVALID, f"{len(key_id)} characters")
