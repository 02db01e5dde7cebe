"""What the bytes of one stored value tell of how they are encrypted. Pure, and total: any bytes will do.

The forms are those of k8s.io/apiserver: pkg/server/options/encryptionconfig/config.go for the prefixes,
pkg/storage/value/encrypt for what follows them. The checks are those the API server makes before it
asks for a key; what it would refuse there is damaged.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from google.protobuf.message import DecodeError

from proto.storage.encrypted_object_pb2 import EncryptedDEKSourceType, EncryptedObject


class Kind(StrEnum):
    """Who made a stored value what it is."""

    KMS_V2 = "kms-v2"
    KMS_V1 = "kms-v1"
    AESCBC = "aescbc"
    AESGCM = "aesgcm"
    SECRETBOX = "secretbox"
    IDENTITY = "identity"
    UNKNOWN_PROVIDER = "unknown-provider"  # encrypted, by something this version does not know
    FOREIGN = "foreign"  # no encryption prefix, and no form that the API server stores
    DAMAGED = "damaged"  # begins like one of the above and is not whole


class Stored(NamedTuple):
    """Names as in the EncryptionConfiguration; *key_id* of AES and secretbox is the key's name there."""

    kind: Kind
    provider: str = ""
    key_id: str = ""


_MARK = b"k8s:enc:"
# Protobuf's and CBOR's magic (apimachinery, pkg/runtime/serializer), and JSON, as custom resources have it.
_PLAIN = (b"k8s\x00", b"{", b"\xd9\xd9\xf7")
_MAX_KEY_ID = _MAX_DEK_SOURCE = 1024  # bytes (kmsv2/envelope.go)
_SOURCE_TYPES = frozenset(EncryptedDEKSourceType.values())


def read(value: bytes) -> Stored:
    """Never raises."""
    if value.startswith(_MARK):
        return _encrypted(value)
    if value.startswith(_PLAIN):
        return Stored(Kind.IDENTITY)
    return Stored(Kind.DAMAGED if _begins(value, _MARK, *_PLAIN) else Kind.FOREIGN)


def _begins(value: bytes, *wholes: bytes) -> bool:
    """Whether *value* is nothing but the beginning of one of *wholes*."""
    return any(whole.startswith(value) for whole in wholes)


def _encrypted(value: bytes) -> Stored:
    for prefix, form in _FORMS.items():
        if value.startswith(prefix):
            end = value.find(b":", len(prefix))
            if end <= len(prefix):
                return Stored(Kind.DAMAGED)
            return form(_text(value[len(prefix) : end]), value[end + 1 :])
    if _begins(value, *_FORMS):
        return Stored(Kind.DAMAGED)
    name, colon, _ = value[len(_MARK) :].partition(b":")
    return Stored(Kind.UNKNOWN_PROVIDER, _text(name)) if name and colon else Stored(Kind.DAMAGED)


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def _kms_v2(provider: str, content: bytes) -> Stored:
    try:
        stored = EncryptedObject.FromString(content)
    except DecodeError:
        return Stored(Kind.DAMAGED, provider)
    key_id = stored.keyID
    whole = (
        stored.encryptedData
        and 0 < len(stored.encryptedDEKSource) <= _MAX_DEK_SOURCE
        and stored.encryptedDEKSourceType in _SOURCE_TYPES
        and 0 < len(key_id.encode()) <= _MAX_KEY_ID
    )
    # A key id that can still be read counts as used: it may be what a repair needs.
    return Stored(Kind.KMS_V2 if whole else Kind.DAMAGED, provider, key_id)


def _kms_v1(provider: str, content: bytes) -> Stored:
    """A length in 16 bits, the encrypted data key, the data; no key id (envelope/envelope.go)."""
    size = int.from_bytes(content[:2])
    whole = size and len(content) > 2 + size
    return Stored(Kind.KMS_V1 if whole else Kind.DAMAGED, provider)


def _block(kind: Kind, least: int, step: int = 1) -> Callable[[str, bytes], Stored]:
    """A form with named keys and no structure of its own but its size."""

    def form(key_name: str, content: bytes) -> Stored:
        whole = len(content) >= least and len(content) % step == 0
        return Stored(kind, "", key_name) if whole else Stored(Kind.DAMAGED, "", key_name)

    return form


_FORMS: dict[bytes, Callable[[str, bytes], Stored]] = {
    b"k8s:enc:kms:v2:": _kms_v2,
    b"k8s:enc:kms:v1:": _kms_v1,
    b"k8s:enc:aescbc:v1:": _block(Kind.AESCBC, 16 + 16, step=16),  # vector, at least one block of padding
    b"k8s:enc:aesgcm:v1:": _block(Kind.AESGCM, 12 + 16),  # nonce, tag
    b"k8s:enc:secretbox:v1:": _block(Kind.SECRETBOX, 24 + 16),  # nonce, tag
}
