"""What a finished count, read back, says of a key."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.counted import Counted
from appliance.usage.proof import Proof, stored_under
from appliance.usage.report import Count
from appliance.usage.tally import Tally
from tests.usage.values import KEY_ID, PLAIN, kms_v2

OTHER = "kleidi/0123456789ab/v2/0123456789ab"
AES = b"k8s:enc:aescbc:v1:aescbckey-2026-01-02T03:04:05Z:"


def printed(*values: bytes, namespaces: bool = True, finish: bool = True, key_id: str = "") -> bytes:
    tally = Tally()
    if namespaces:
        tally.add(b"/registry/namespaces/default", PLAIN)
    for number, value in enumerate(values):
        tally.add(b"/registry/secrets/default/%d" % number, value)
    if finish:
        tally.finish(7)
    return Count.of(tally, key_id).to_json().encode()


def changed(document: bytes, **fields: Any) -> bytes:  # noqa: ANN401
    return json.dumps(json.loads(document) | fields).encode()


def refused(document: bytes) -> str:
    with pytest.raises(KleidiError) as caught:
        stored_under(document, KEY_ID)
    assert caught.value.fault is faults.USAGE_INVALID
    return caught.value.detail


def test_a_whole_count_proves_how_many_there_are() -> None:
    assert stored_under(printed(kms_v2(), kms_v2()), KEY_ID) == Proof(2)
    assert stored_under(printed(kms_v2()), OTHER) == Proof(0)
    assert stored_under(printed(kms_v2(), key_id=KEY_ID), KEY_ID) == Proof(1)


@pytest.mark.parametrize(
    ("document", "doubt"),
    [
        (printed(AES + bytes(33)), "1 object could not be read"),
        (printed(AES + bytes(33), kms_v2()[:40]), "2 objects could not be read"),
        (printed(namespaces=False), "not a whole cluster"),
        (printed(finish=False), "did not come to its end"),
        (printed(AES + bytes(33), namespaces=False), "1 object could not be read; not a whole cluster"),
    ],
)
def test_what_proves_nothing_says_why(document: bytes, doubt: str) -> None:
    proof = stored_under(document, OTHER)
    assert proof.objects is None
    assert doubt in proof.doubt


def test_objects_that_were_found_are_there_whatever_else_was_not_counted() -> None:
    assert stored_under(printed(kms_v2(), kms_v2()[:40], namespaces=False), KEY_ID) == Proof(1)


def test_a_damaged_object_of_ours_counts_and_one_of_another_provider_does_not() -> None:
    row = {"resource": "secrets", "kind": "damaged", "key_id": "k", "objects": 3}
    ours, theirs = row | {"provider": "kleidi"}, row | {"provider": ""}
    assert Counted.parse(changed(printed(), rows=[ours, theirs])).stored == {"k": 3}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        printed(kms_v2())[:-40],
        printed(kms_v2(OTHER), key_id=OTHER),
        changed(printed(kms_v2()), schema="kleidi.usage/v2"),
        changed(printed(kms_v2()), rows=["row"]),
        changed(printed(kms_v2()), rows=7),
        changed(printed(), damaged="0"),
        changed(printed(), damaged=-1),
        changed(printed(), rows=[{"kind": "kms-v2", "provider": "k", "key_id": KEY_ID, "objects": -1}]),
        changed(printed(), rows=[{"kind": "kms-v2", "provider": "k", "key_id": KEY_ID, "objects": 0.5}]),
        b'{"schema": "kleidi.usage/v1", "complete": true, "whole_cluster": true, "key_id": "", "rows": []}',
    ],
)
def test_what_was_not_printed_by_a_count_is_refused(document: bytes) -> None:
    assert refused(document)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_with_the_one_fault(document: bytes) -> None:
    assert refused(document)
