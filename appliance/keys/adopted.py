"""What other plugins over SoftHSM stored, so that it can still be read. Nothing is ever written like this.

The original kleidi and the Kubernetes mock share one scheme: `nonce 12 | ciphertext | tag 16`, the key's
label both as key id and as associated data, and one annotation whose value is "1".
"""

from collections.abc import Mapping

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.envelope import MAX_SIZE, NONCE_SIZE, TAG_SIZE, Envelope
from appliance.keys.keyset import Adopted

# By the key's label, which both fix.
KNOWN = {
    "kleidi-kms-plugin": Adopted("kleidi-kms-plugin", "v2.kleidi.beezy.dev"),
    "kms-test": Adopted("kms-test", "version.encryption.remote.io"),
}


def opened(data: bytes, annotations: Mapping[str, bytes], adopted: Adopted) -> Envelope:
    """Total, like Envelope.from_bytes."""
    if dict(annotations) != {adopted.annotation: b"1"}:
        raise KleidiError(faults.ANNOTATIONS_FOREIGN, f"{len(annotations)}")
    if not NONCE_SIZE + TAG_SIZE < len(data) <= MAX_SIZE:
        raise KleidiError(faults.ENVELOPE_INVALID, f"{len(data)} bytes")
    return Envelope(data)


def associated_data(adopted: Adopted) -> bytes:
    return adopted.key_id.encode()
