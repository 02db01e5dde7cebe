"""etcdctl's JSON: whole, or a fault."""

import base64
import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.counting import count
from appliance.usage.etcdctl import Etcdctl
from tests.usage.values import KEY_ID, PLAIN, kms_v2

HEADER = {"cluster_id": 2**64 - 1, "member_id": 1, "revision": 42, "raft_term": 2}


def entry(key: str, value: bytes) -> dict[str, Any]:
    names = {"key": base64.b64encode(key.encode()).decode(), "create_revision": 2, "mod_revision": 2}
    return {**names, "version": 1, "value": base64.b64encode(value).decode()}


ENTRIES = [
    entry("/registry/namespaces/default", PLAIN),
    entry("/registry/secrets/default/one", kms_v2()),
    entry("/registry/secrets/default/two", kms_v2(data=bytes(3 << 19))),
]
DOCUMENT = {"header": HEADER, "kvs": ENTRIES, "count": len(ENTRIES)}


def read(text: str | bytes) -> list[tuple[bytes, bytes]]:
    return list(Etcdctl(io.BytesIO(text if isinstance(text, bytes) else text.encode())).objects())


def refused(text: str | bytes) -> str:
    with pytest.raises(KleidiError) as caught:
        read(text)
    assert caught.value.fault is faults.ETCDCTL_INVALID
    return caught.value.detail


def test_counts_what_etcdctl_printed() -> None:
    source = Etcdctl(io.BytesIO(json.dumps(DOCUMENT).encode() + b"\n"))
    tally = count(source, "/registry")
    assert (tally.objects, tally.objects_under(KEY_ID), tally.revision) == (3, 2, 42)
    assert tally.complete


def test_only_what_stands_in_kvs_is_an_object() -> None:
    other = {"more": [entry("/registry/secrets/a/b", kms_v2())], "kvs": [{"value": ""}]}
    assert "without a key" in refused(json.dumps({"header": HEADER, **other, "count": 1}))
    nested = {**ENTRIES[0], "lease": {"key": "!", "value": [{"value": "!"}]}}
    assert read(json.dumps({"header": HEADER, "kvs": [nested], "count": 1})) == [
        (b"/registry/namespaces/default", PLAIN)
    ]


def test_an_object_without_a_value_is_one_with_an_empty_value() -> None:
    bare = {name: value for name, value in ENTRIES[0].items() if name != "value"}
    objects = read(json.dumps({"header": HEADER, "kvs": [bare, ENTRIES[1]], "count": 2}))
    assert objects[0] == (b"/registry/namespaces/default", b"")


@pytest.mark.parametrize("size", [0, 1, 10, 120, 200, 300, 500, -1, -2, -12, -20])
def test_half_a_document_is_refused(size: int) -> None:
    assert refused(json.dumps(DOCUMENT)[:size])


def test_an_answer_that_was_limited_is_refused() -> None:
    assert "--limit" in refused(json.dumps({**DOCUMENT, "more": True, "count": 9}))


def test_keys_alone_are_refused() -> None:
    bare = [{name: value for name, value in each.items() if name != "value"} for each in ENTRIES]
    assert "--keys-only" in refused(json.dumps({**DOCUMENT, "kvs": bare}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        json.dumps({"kvs": ENTRIES, "count": 3}),
        json.dumps({"header": HEADER, "kvs": ENTRIES}),
        json.dumps({**DOCUMENT, "count": "3"}),
        json.dumps({**DOCUMENT, "count": 3.0}),
        json.dumps(DOCUMENT) + json.dumps(DOCUMENT),
        json.dumps({**DOCUMENT, "kvs": [{**ENTRIES[0], "value": "!"}, *ENTRIES[1:]]}),
        json.dumps({**DOCUMENT, "kvs": [{**ENTRIES[0], "key": "\u00e9"}, *ENTRIES[1:]]}),
        json.dumps({**DOCUMENT, "kvs": [{"value": ""}, *ENTRIES[1:]]}),
        "/registry/secrets/default/one\nk8s:enc:",
        b"\xff\xfe",
    ],
)
def test_what_etcdctl_does_not_print_is_refused(text: str | bytes) -> None:
    assert refused(text)


def test_a_value_that_never_ends_is_not_kept() -> None:
    endless = """printf '{"kvs": [{"value": "'; exec tr '\\0' a </dev/zero"""
    with subprocess.Popen(["sh", "-c", endless], stdout=subprocess.PIPE) as source:
        assert source.stdout
        with pytest.raises(KleidiError) as caught:
            list(Etcdctl(source.stdout).objects())
        source.kill()
    assert "64 MiB" in caught.value.detail


def test_a_document_without_a_bottom_is_refused() -> None:
    assert "nested too deep" in refused("[" * 1_000_000)


def test_a_disk_that_fails_is_not_the_documents_fault() -> None:
    # Nothing is mapped at the first address, so reading there is an I/O error.
    with Path("/proc/self/mem").open("rb", buffering=0) as stream, pytest.raises(KleidiError) as caught:
        list(Etcdctl(stream).objects())
    assert caught.value.fault is faults.INPUT_UNREADABLE


def test_the_refusal_does_not_quote_the_document() -> None:
    assert "hunter2" not in refused('{"header": hunter2}')


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_the_one_fault(text: bytes) -> None:
    assert refused(text)


@given(st.integers(0), st.binary(min_size=1, max_size=8))
def test_a_damaged_document_is_counted_whole_or_not_at_all(where: int, patch: bytes) -> None:
    small = json.dumps({"header": HEADER, "kvs": ENTRIES[:2], "count": 2}).encode()
    where %= len(small)
    with contextlib.suppress(KleidiError):
        assert len(read(small[:where] + patch + small[where + len(patch) :])) == 2
