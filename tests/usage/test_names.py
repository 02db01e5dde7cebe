"""Where the name in front of a stored value's content ends, when the name has colons too."""

import random
import re
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.usage.stored import Kind, Stored, read, readings
from appliance.usage.tally import Tally

PREFIXES = {
    Kind.AESCBC: b"k8s:enc:aescbc:v1:",
    Kind.AESGCM: b"k8s:enc:aesgcm:v1:",
    Kind.SECRETBOX: b"k8s:enc:secretbox:v1:",
}
LEAST = {Kind.AESCBC: 32, Kind.AESGCM: 28, Kind.SECRETBOX: 40}
DATES = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00", "2026-01-02T03:04:05-09:30", "2026-01-02T03:04"]
KINDS = st.sampled_from(list(PREFIXES))
BLOCKS = st.integers(2, 40).flatmap(lambda blocks: st.binary(min_size=16 * blocks, max_size=16 * blocks))
NAMES = st.text(min_size=1, max_size=60)


def value(kind: Kind, name: str, content: bytes) -> bytes:
    return PREFIXES[kind] + name.encode() + b":" + content


def whole(kind: Kind, content: bytes) -> bool:
    return len(content) >= LEAST[kind] and (kind is not Kind.AESCBC or len(content) % 16 == 0)


def longer_names(value: bytes) -> tuple[str, ...]:
    return readings(value)[1]


def is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(KINDS, st.sampled_from(["aescbckey-", "secretboxkey-", "", "k"]), st.sampled_from(DATES), BLOCKS)
def test_a_dated_name_is_read_whole(kind: Kind, head: str, date: str, content: bytes) -> None:
    content = bytes(16) + content  # large enough for each kind
    assert read(value(kind, head + date, content)) == Stored(kind, "", head + date)


@given(KINDS, NAMES, BLOCKS)
@example(Kind.AESCBC, ":", bytes(32))
@example(Kind.AESCBC, "a::b:", bytes(32))
def test_what_is_whole_under_its_name_is_never_damaged(kind: Kind, name: str, content: bytes) -> None:
    content = bytes(16) + content
    stored = read(value(kind, name, content))
    assert stored.kind is kind
    assert value(kind, name, b"").startswith(value(kind, stored.key_id, b"")) or name in stored.key_id


@given(KINDS, st.binary(max_size=120))
@example(Kind.AESCBC, b"a:b:" + bytes(32))
@example(Kind.AESGCM, b"\xff:" + bytes(32))
def test_it_is_damaged_only_when_no_reading_is_whole(kind: Kind, rest: bytes) -> None:
    readings = [(rest[:end], rest[end + 1 :]) for end in (found.start() for found in re.finditer(b":", rest))]
    possible = [name for name, content in readings if name and is_text(name) and whole(kind, content)]
    stored = read(PREFIXES[kind] + rest)
    assert (stored.kind is kind) == bool(possible)
    if possible:
        assert stored.key_id.encode() in possible


def test_a_shorter_name_is_likelier_than_a_content_that_begins_with_text() -> None:
    assert read(value(Kind.AESGCM, "key1", b"ab:" + bytes(40))).key_id == "key1"
    assert longer_names(value(Kind.AESGCM, "key1", b"ab:" + bytes(40))) == ("key1:ab",)
    # But never where only the longer one leaves whole blocks.
    assert read(value(Kind.AESCBC, "team:blue", bytes(32))).key_id == "team:blue"


def test_a_name_of_kms_v1_may_have_a_colon_and_one_of_kms_v2_may_not() -> None:
    content = b"\x00\x20" + bytes(32) + bytes(48)
    assert read(b"k8s:enc:kms:v1:my:kms:" + content) == Stored(Kind.KMS_V1, "my:kms")
    assert read(b"k8s:enc:kms:v2:my:kms:" + content) == Stored(Kind.DAMAGED, "my")


def test_a_damaged_value_is_told_with_the_whole_date() -> None:
    name = "aescbckey-2026-01-02T03:04:05Z"
    assert read(value(Kind.AESCBC, name, bytes(33))) == Stored(Kind.DAMAGED, "", name)


@pytest.mark.parametrize("kind", PREFIXES)
def test_half_a_value_is_hardly_ever_taken_for_a_whole_one_under_a_longer_name(kind: Kind) -> None:
    draw = random.Random(8)  # noqa: S311  not for keys
    cut = LEAST[kind] - 1 if kind is not Kind.AESCBC else 4095
    halves = [read(value(kind, "key1", draw.randbytes(cut))).kind for _ in range(500)]
    assert halves.count(Kind.DAMAGED) > 490


def test_nothing_but_colons_ends() -> None:
    for kind in PREFIXES:
        assert read(value(kind, "a", b":" * (1 << 20))).kind in (kind, Kind.DAMAGED)
        assert len(longer_names(value(kind, "a", b"a:" * (1 << 19)))) <= 8


def counted(*values: bytes) -> dict[str, int]:
    tally = Tally()
    for number, each in enumerate(values):
        tally.add(b"/registry/secrets/default/%d" % number, each)
    return {row.key_id or row.provider: count for row, count in tally.rows.items()}


def test_a_name_that_all_objects_share_is_the_name() -> None:
    blue = [value(Kind.AESGCM, "team:blue", bytes([number]) * 40) for number in range(3)]
    assert counted(*blue) == {"team:blue": 3}
    assert counted(blue[0]) == {"team": 1}
    assert counted(*blue, value(Kind.AESGCM, "team:red", bytes(40))) == {"team": 4}
    old = b"k8s:enc:kms:v1:my:kms:\x00\x20" + bytes(32)
    assert counted(old + bytes(48), old + bytes(49)) == {"my:kms": 2}


def test_chance_makes_no_name_of_its_own() -> None:
    draw = random.Random(8)  # noqa: S311  not for keys
    secrets = [value(Kind.SECRETBOX, "key1", draw.randbytes(60)) for _ in range(2000)]
    assert any(map(longer_names, secrets))
    assert counted(*secrets) == {"key1": 2000}


@pytest.mark.parametrize(
    "contents", list(permutations([b"ab:" + bytes(40), b"ab:cd:" + bytes(40), bytes(40), b":" + bytes(40)]))
)
def test_the_order_decides_nothing(contents: tuple[bytes, ...]) -> None:
    assert counted(*(value(Kind.AESGCM, "key", each) for each in contents)) == {"key": 4}
    assert counted(*(value(Kind.AESGCM, "key:1", each) for each in contents)) == {"key:1": 4}


def test_the_other_etcds_objects_have_a_say_too() -> None:
    here, there = Tally(), Tally()
    here.add(b"/registry/secrets/a/b", value(Kind.AESGCM, "team:blue", bytes(40)))
    there.add(b"/registry/events/a/b", value(Kind.AESGCM, "team:blue", bytes(41)))
    here.merge(there)
    assert {row.key_id for row in here.rows} == {"team:blue"}
