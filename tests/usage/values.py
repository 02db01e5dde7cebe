"""Stored values as the API server writes them, for tests to take apart."""

from proto.storage.encrypted_object_pb2 import EncryptedObject

KEY_ID = "kleidi/0123456789ab/v1/fedcba987654"
PLAIN = b"k8s\x00\n\x0c\n\x02v1\x12\x06Secret"
KMS_V2 = b"k8s:enc:kms:v2:"


def kms_v2(
    key_id: str = KEY_ID,
    *,
    provider: bytes = b"kleidi",
    data: bytes = bytes(60),
    source: bytes = bytes(61),
    source_type: int = 1,
) -> bytes:
    stored = EncryptedObject(encryptedData=data, keyID=key_id, encryptedDEKSource=source)
    stored.encryptedDEKSourceType = source_type  # type: ignore[assignment]  # an open enum: any number goes
    return KMS_V2 + provider + b":" + stored.SerializeToString()
