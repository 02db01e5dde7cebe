"""What the bytes of one stored value tell of how they are encrypted. Pure, and total: any bytes will do.

The forms are those of k8s.io/apiserver: pkg/server/options/encryptionconfig/config.go for the prefixes,
pkg/storage/value/encrypt for what follows them. The checks are those the API server makes before it
asks for a key; what it would refuse there is damaged.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from google.protobuf.message import DecodeError

from appliance.usage import names
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
_KMS_V2 = b"k8s:enc:kms:v2:"
# Protobuf's and CBOR's magic (apimachinery, pkg/runtime/serializer), and JSON, as custom resources have it.
_PLAIN = (b"k8s\x00", b"{", b"\xd9\xd9\xf7")
_MAX_KEY_ID = _MAX_DEK_SOURCE = 1024  # bytes (kmsv2/envelope.go)
_MOST = 8  # longer names of one value that are told
_SOURCE_TYPES = frozenset(EncryptedDEKSourceType.values())


def read(value: bytes) -> Stored:
    """Never raises."""
    return readings(value)[0]


def readings(value: bytes) -> tuple[Stored, tuple[str, ...]]:
    """The likeliest, and each longer name under which the value were whole too, the shortest first."""
    for prefix, form in _NAMED.items():
        if value.startswith(prefix):
            return form.readings(value[len(prefix) :])
    return _only(value), ()


def _only(value: bytes) -> Stored:
    if value.startswith(_MARK):
        return _encrypted(value)
    if value.startswith(_PLAIN):
        return Stored(Kind.IDENTITY)
    return Stored(Kind.DAMAGED if _begins(value, _MARK, *_PLAIN) else Kind.FOREIGN)


def _begins(value: bytes, *wholes: bytes) -> bool:
    """Whether *value* is nothing but the beginning of one of *wholes*."""
    return any(whole.startswith(value) for whole in wholes)


def under_kms_v2(kind: str, provider: str) -> bool:
    """Whether a key id read with these is one of a KMS v2 provider, and not the name of a key of AES.

    A damaged object counts whose key id can still be read: it may be what a repair needs.
    """
    return kind == Kind.KMS_V2 or (kind == Kind.DAMAGED and bool(provider))


def _encrypted(value: bytes) -> Stored:
    if value.startswith(_KMS_V2):
        return _kms_v2(value[len(_KMS_V2) :])
    if _begins(value, _KMS_V2, *_NAMED):
        return Stored(Kind.DAMAGED)
    name, colon, _ = value[len(_MARK) :].partition(b":")
    return Stored(Kind.UNKNOWN_PROVIDER, _text(name)) if name and colon else Stored(Kind.DAMAGED)


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def _kms_v2(rest: bytes) -> Stored:
    name, colon, content = rest.partition(b":")
    if not name or not colon:
        return Stored(Kind.DAMAGED)
    provider = _text(name)
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
    return Stored(Kind.KMS_V2 if whole else Kind.DAMAGED, provider, key_id)


def _has_data_key(content: memoryview) -> bool:
    """KMS v1: a length in 16 bits, the encrypted data key, the data; no key id (envelope/envelope.go)."""
    size = int.from_bytes(content[:2])
    return bool(size) and len(content) > 2 + size


def _sized(least: int, step: int = 1) -> Callable[[memoryview], bool]:
    """A content without any structure of its own but its size."""
    return lambda content: len(content) >= least and len(content) % step == 0


class _Named(NamedTuple):
    """A form whose name may hold colons: which of them ends it, its content has to tell."""

    kind: Kind
    whole: Callable[[memoryview], bool]

    def readings(self, rest: bytes) -> tuple[Stored, tuple[str, ...]]:
        content = memoryview(rest)
        every = names.ends(rest)
        whole = [end for end in every if self.whole(content[end + 1 :])]
        first = next(iter(whole or every), 0)
        longer = sorted(end for end in whole if end > first)[:_MOST] if len(whole) > 1 else ()
        return self._named(_text(rest[:first]), whole=bool(whole)), tuple(_text(rest[:end]) for end in longer)

    def _named(self, name: str, *, whole: bool) -> Stored:
        kind = self.kind if whole else Kind.DAMAGED
        return Stored(kind, name) if self.kind is Kind.KMS_V1 else Stored(kind, "", name)


_NAMED = {
    b"k8s:enc:kms:v1:": _Named(Kind.KMS_V1, _has_data_key),
    b"k8s:enc:aescbc:v1:": _Named(Kind.AESCBC, _sized(16 + 16, step=16)),  # vector, padding
    b"k8s:enc:aesgcm:v1:": _Named(Kind.AESGCM, _sized(12 + 16)),  # nonce, tag
    b"k8s:enc:secretbox:v1:": _Named(Kind.SECRETBOX, _sized(24 + 16)),  # nonce, tag
}
