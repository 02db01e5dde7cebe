"""Counting, adding up, and what is shown of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.counting import count
from appliance.usage.report import Count, KnownKey
from appliance.usage.stored import Kind
from appliance.usage.tally import Row, Tally
from tests.usage.values import KEY_ID, PLAIN, kms_v2

OTHER = "kleidi/0123456789ab/v2/0123456789ab"
STORED = [
    (b"/registry/namespaces/default", PLAIN),
    (b"/registry/secrets/default/one", kms_v2()),
    (b"/registry/secrets/default/two", kms_v2()),
    (b"/registry/secrets/default/three", kms_v2(OTHER)),
    (b"/registry/secrets/default/broken", kms_v2(source=b"")),
    (b"/registry/secrets/default/lost", kms_v2()[:40]),
]
FIELDS = {
    "schema": str,
    "prefix": str,
    "revision": int,
    "complete": bool,
    "whole_cluster": bool,
    "objects": int,
    "damaged": int,
    "key_id": str,
    "objects_under": int,
    "rows": list,
    "sums": list,
}


class Fixed:
    """A source that gives *objects* and says that there were *total*."""

    def __init__(self, objects: list[tuple[bytes, bytes]], total: int | None = None) -> None:
        self._objects = objects
        self.revision = 7
        self.total = len(objects) if total is None else total

    def objects(self) -> list[tuple[bytes, bytes]]:
        return self._objects


@pytest.fixture
def tally() -> Tally:
    return count(Fixed(STORED), "/registry")


def test_counts_by_resource_kind_provider_and_key_id(tally: Tally) -> None:
    assert tally.rows == {
        Row("namespaces", Kind.IDENTITY, "", ""): 1,
        Row("secrets", Kind.KMS_V2, "kleidi", KEY_ID): 2,
        Row("secrets", Kind.KMS_V2, "kleidi", OTHER): 1,
        Row("secrets", Kind.DAMAGED, "kleidi", KEY_ID): 1,
        Row("secrets", Kind.DAMAGED, "kleidi", ""): 1,
    }
    assert (tally.objects, tally.damaged, tally.revision) == (6, 2, 7)
    assert tally.complete
    assert tally.whole_cluster


def test_a_damaged_object_whose_key_id_can_be_read_still_needs_the_key(tally: Tally) -> None:
    assert tally.objects_under(KEY_ID) == 3
    assert tally.objects_under(OTHER) == 1
    assert tally.objects_under("kleidi") == tally.objects_under("") - 1 == 0


def test_a_key_name_of_aes_is_no_key_id() -> None:
    tally = count(Fixed([(b"/registry/secrets/a/b", b"k8s:enc:aescbc:v1:key1:" + bytes(32))]), "/registry")
    assert tally.objects_under("key1") == 0


def test_is_not_complete_until_it_is_finished() -> None:
    tally = Tally()
    for key, value in STORED:
        tally.add(key, value)
    assert not tally.complete
    assert "INCOMPLETE" in Count.of(tally).to_text()
    assert json.loads(Count.of(tally).to_json())["complete"] is False


@pytest.mark.parametrize("total", [len(STORED) - 1, len(STORED) + 1])
def test_a_source_that_gives_another_number_than_it_said_is_no_count(total: int) -> None:
    with pytest.raises(KleidiError) as caught:
        count(Fixed(STORED, total), "/registry")
    assert caught.value.fault is faults.ETCD_INCOMPLETE


def test_nothing_at_all_is_no_count() -> None:
    with pytest.raises(KleidiError) as caught:
        count(Fixed([]), "/registry")
    assert caught.value.fault is faults.ETCD_EMPTY


def test_two_etcds_of_one_cluster_add_up(tally: Tally) -> None:
    events = count(Fixed([(b"/registry/events/default/one", kms_v2())]), "/registry")
    tally.merge(events)
    assert (tally.objects, tally.objects_under(KEY_ID), tally.complete) == (7, 4, True)
    tally.merge(Tally())
    assert not tally.complete


def test_json_has_every_field_of_its_schema(tally: Tally) -> None:
    fields = json.loads(Count.of(tally, KEY_ID).to_json())
    assert {name: type(value) for name, value in fields.items()} == FIELDS
    assert fields["schema"] == Count.schema == "kleidi.usage/v1"
    assert fields["objects_under"] == 3
    assert [row["objects"] for row in fields["rows"]] == [1, 2]
    every = json.loads(Count.of(tally).to_json())
    assert every["objects_under"] is None
    assert every["rows"][0] == {
        "resource": "namespaces",
        "kind": "identity",
        "provider": "",
        "key_id": "",
        "objects": 1,
    }


def test_text_is_a_table_and_what_to_know_about_it(tally: Tally) -> None:
    lines = Count.of(tally).to_text().splitlines()
    assert lines[0].split() == ["RESOURCE", "KIND", "PROVIDER", "OBJECTS", "KEY"]
    end = lines[0].index("OBJECTS") + len("OBJECTS")
    assert [line[end - 1] for line in lines[1:6]] == ["1", "1", "1", "2", "1"]
    assert lines[-2:] == [
        "6 objects at revision 7.",
        "2 of them are damaged: the API server cannot read them.",
    ]
    assert "3 of them are under" in Count.of(tally, KEY_ID).to_text()


def test_sums_are_over_all_resources_with_the_names_that_the_server_knows() -> None:
    stored = [*STORED[:4], (b"/registry/configmaps/a/b", kms_v2()), (b"/registry/secrets/a/c", PLAIN)]
    tally = count(Fixed(stored), "/registry")
    counted = Count.of(tally, known={KEY_ID: KnownKey("v1", "retired", "transit")})
    assert [(each.objects, each.key, each.key_id) for each in counted.sums] == [
        (3, "v1", KEY_ID),
        (2, "", ""),
        (1, "", OTHER),
    ]
    text = counted.to_text()
    assert f"3  50.0 %  v1 (retired, transit) {KEY_ID}" in text
    assert "2  33.3 %  not encrypted" in text
    assert f"1  16.7 %  kms-v2 kleidi {OTHER}" in text


def test_the_last_object_is_never_nothing() -> None:
    plain = [(b"/registry/namespaces/%d" % number, PLAIN) for number in range(2000)]
    text = Count.of(count(Fixed([*plain, STORED[1]]), "/registry")).to_text()
    assert "< 0.1 %" in text


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(tally: Tally, columns: int) -> None:
    assert all(len(line) <= columns for line in Count.of(tally).to_text(columns).splitlines())


def test_says_when_it_cannot_be_a_whole_cluster() -> None:
    tally = count(Fixed(STORED[1:]), "/registry")
    assert not tally.whole_cluster
    assert "namespace" in Count.of(tally).to_text()


def test_stored_names_cannot_move_the_cursor() -> None:
    evil = kms_v2("a\x1b[2Jb\nc", provider=b"\x1b\xff")
    text = Count.of(count(Fixed([(b"/registry/se\x1bcrets/a", evil)]), "/registry")).to_text()
    assert all(line.isprintable() for line in text.splitlines())
    assert "a\\x1b[2Jb\\nc" in text


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), min_size=1, max_size=20))
def test_whatever_is_stored_is_counted_once_and_can_be_shown(objects: list[tuple[bytes, bytes]]) -> None:
    tally = count(Fixed(objects), "/registry")
    assert (
        tally.objects
        == len(objects)
        == sum(row["objects"] for row in json.loads(Count.of(tally).to_json())["rows"])
    )
    assert all(line.isprintable() for line in Count.of(tally).to_text().splitlines())
