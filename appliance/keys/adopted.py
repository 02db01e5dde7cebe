"""What other plugins stored, so that it can still be read. Nothing is ever written like this.

The original kleidi and the Kubernetes mock share one scheme over SoftHSM: `nonce 12 | ciphertext | tag 16`,
the key's label both as key id and as associated data. The original's Vault provider stores Transit's own
text, `vault:v<version>:<base64 of the same>`, bound to nothing, under `kleidi-kms-plugin_<version>_<time>`.
All carry one annotation whose value is "1".
"""

import base64
import binascii
import re
from collections.abc import Mapping

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.envelope import MAX_SIZE, NONCE_SIZE, TAG_SIZE, Envelope
from appliance.keys.keyset import Adopted

_ORIGINAL = "v2.kleidi.beezy.dev"
TRANSIT_TEXT = "transit-text"
# By the key's label, which both fix.
KNOWN = {
    "kleidi-kms-plugin": Adopted("kleidi-kms-plugin", _ORIGINAL),
    "kms-test": Adopted("kms-test", "version.encryption.remote.io"),
}
_IN_TRANSIT = re.compile(r"kleidi-kms-plugin_([1-9][0-9]{0,8})_[0-9]{1,19}")
_TEXT = re.compile(rb"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+=*)")


def in_transit(key_id: str) -> tuple[Adopted, int]:
    """How the original's Vault provider is known by *key_id*, and the Transit key's version in it.

    Raises E-TOKEN-NOT-ADOPTED.
    """
    found = _IN_TRANSIT.fullmatch(key_id)
    if found is None:
        raise KleidiError(faults.TOKEN_NOT_ADOPTED, "a key id of its is like kleidi-kms-plugin_1_1700000000")
    return Adopted(key_id, _ORIGINAL, TRANSIT_TEXT), int(found[1])


def opened(data: bytes, annotations: Mapping[str, bytes], adopted: Adopted) -> Envelope:
    """Total, like Envelope.from_bytes."""
    if dict(annotations) != {adopted.annotation: b"1"}:
        raise KleidiError(faults.ANNOTATIONS_FOREIGN, f"{len(annotations)}")
    body = _decoded(data, adopted) if adopted.scheme == TRANSIT_TEXT else data
    if not NONCE_SIZE + TAG_SIZE < len(body) <= MAX_SIZE:
        raise KleidiError(faults.ENVELOPE_INVALID, f"{len(body)} bytes")
    return Envelope(body)


def _decoded(text: bytes, adopted: Adopted) -> bytes:
    """Strictly, for Transit itself reads more than one text as the same."""
    found, (_, version) = _TEXT.fullmatch(text), in_transit(adopted.key_id)
    if found is None or int(found[1]) != version:
        raise KleidiError(faults.ENVELOPE_INVALID, "not a text of this version of the key")
    try:
        return base64.b64decode(found[2], validate=True)
    except binascii.Error as error:
        raise KleidiError(faults.ENVELOPE_INVALID, "not base64") from error


def associated_data(adopted: Adopted) -> bytes:
    """What an engine binds to; one that holds a key of Transit's text knows that it is bound to nothing."""
    return adopted.key_id.encode()
