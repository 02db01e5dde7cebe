"""Somebody changes etcd behind our back: that one object suffers, and its reader is told why."""

import re
from collections.abc import Callable

import pytest

from tests.conformance.apiserver import RefusedError
from tests.conformance.encryption import Kms
from tests.conformance.stage import Stage

EVERY_ENGINE = True

UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def with_another_key_id(stored: bytes, key_id: str) -> bytes:
    return flip(stored, stored.index(key_id.encode()) + len(key_id) - 1)


def with_a_flipped_bit_in_the_sealed_seed(stored: bytes, key_id: str) -> bytes:
    # The seed's ciphertext is the next field after the key id: a tag, a length below 128, the bytes.
    start = stored.index(key_id.encode()) + len(key_id)
    assert stored[start] == 0x1A
    assert stored[start + 1] < 0x80
    return flip(stored, start + 1 + stored[start + 1])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        pytest.param(with_another_key_id, "NotFound", id="another-key-id"),
        pytest.param(with_a_flipped_bit_in_the_sealed_seed, "DataLoss", id="a-flipped-bit"),
    ],
)
def test_a_damaged_object_is_refused_with_our_reason_and_harms_no_other(
    stage: Stage, kms: Kms, key_id: str, damage: Callable[[bytes, str], bytes], code: str
) -> None:
    # Its own API server for each object, so that each has its own seed and nothing is in the reader's cache.
    stage.apiserver(kms).create_secret("sound", "value")
    writer = stage.apiserver(kms)
    writer.create_secret("damaged", "value")
    original = writer.stored("damaged")
    writer.put_stored("damaged", damage(original, key_id))
    # A watch cache would already trip over the damaged object: it reads all of them at once.
    reader = stage.apiserver(kms, watch_cache=False)

    with pytest.raises(RefusedError) as refused:
        reader.secret("damaged")
    assert refused.value.status == 500
    assert f"code = {code}" in refused.value.message
    assert "E-" in refused.value.message
    assert UID.search(refused.value.message)

    assert reader.kms_health().status == 200
    assert reader.secret("sound") == "value"
    # The refusal was not remembered: with the bytes put back the same reader reads them.
    reader.put_stored("damaged", original)
    assert reader.secret("damaged") == "value"
