"""The seal key: 32 bytes, made once, never replaced, and a mark that it was used."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import faults
from appliance.volume.custody import Custody
from appliance.volume.slot import Presence
from tests.volume.house import House, refused


@pytest.fixture
def custody(house: House) -> Custody:
    return Custody("file", house.seal_key)


def test_is_missing_at_first(custody: Custody) -> None:
    assert custody.look()[0] is Presence.CREATABLE
    assert refused(custody.load) is faults.SEAL_KEY_MISSING


def test_a_missing_directory_is_not_one_to_make_a_key_in(house: House) -> None:
    custody = Custody("file", house.etc / "missing" / "seal.key")
    assert custody.look()[0] is Presence.ABSENT
    assert refused(custody.create) is faults.SEAL_KEY_UNWRITABLE


def test_a_directory_that_may_not_be_written_is_not_one_either(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    open_house.etc.chmod(0o555)
    custody = Custody("file", open_house.seal_key)
    assert as_nobody(custody.look)[0] is Presence.ABSENT
    assert as_nobody(lambda: refused(custody.create).id) == faults.SEAL_KEY_UNWRITABLE.id


def test_is_made_for_its_owner_alone(custody: Custody) -> None:
    custody.create()
    assert custody.look()[0] is Presence.PRESENT
    assert custody.path.stat().st_mode & 0o777 == 0o400
    assert len(custody.load().secret) == 32
    assert [path.name for path in custody.path.parent.iterdir()] == ["seal.key"]


def test_is_another_every_time(house: House) -> None:
    made = set()
    for number in range(3):
        custody = Custody("file", house.etc / f"{number}.key")
        custody.create()
        made.add(custody.load().secret)
    assert len(made) == 3


def test_one_that_is_there_is_never_replaced(custody: Custody) -> None:
    custody.create()
    before = custody.path.read_bytes()
    custody.create()
    assert custody.path.read_bytes() == before


RAW = secrets.token_bytes(32)


@pytest.mark.parametrize(
    "content",
    [b"", RAW[:31], RAW + b"x", RAW + b"\n", RAW + b"\r\n", RAW.hex().encode(), RAW * 1000],
    ids=["empty", "31 bytes", "33 bytes", "a newline", "a CRLF", "hexadecimal", "large"],
)
def test_what_is_not_32_bytes_is_no_key_and_is_left_alone(custody: Custody, content: bytes) -> None:
    custody.path.write_bytes(content)
    assert custody.look()[0] is Presence.INVALID
    assert refused(custody.load) is faults.SEAL_KEY_INVALID
    assert refused(custody.create) is faults.SEAL_KEY_INVALID
    assert custody.path.read_bytes() == content


def test_32_bytes_that_end_in_a_newline_are_a_key(custody: Custody) -> None:
    custody.path.write_bytes(RAW[:31] + b"\n")
    assert custody.load().secret == RAW[:31] + b"\n"


def test_a_directory_in_its_place_is_no_key(custody: Custody) -> None:
    custody.path.mkdir()
    assert custody.look()[0] is Presence.INVALID
    assert refused(custody.create) is faults.SEAL_KEY_INVALID


def test_one_that_may_not_be_read_is_not_absent(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    custody = Custody("file", open_house.seal_key)
    custody.path.write_bytes(RAW)
    custody.path.chmod(0o000)
    assert as_nobody(custody.look)[0] is Presence.INVALID


def test_the_mark_is_set_once_and_says_for_which_lineage(custody: Custody) -> None:
    assert not custody.used()
    custody.mark_used("0123456789ab")
    custody.mark_used("ffffffffffff")
    mark = custody.path.with_name("seal.key.used")
    assert custody.used()
    assert mark.read_text() == "0123456789ab\n"
    assert mark.stat().st_mode & 0o777 == 0o444


def test_a_mark_that_cannot_be_looked_at_counts(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    if os.geteuid() != 0:
        open_house.etc.chmod(0o000)
    else:
        os.chown(open_house.etc, 0, 0)
        open_house.etc.chmod(0o700)
    assert as_nobody(Custody("file", open_house.seal_key).used) is True
    open_house.etc.chmod(0o700)


def test_protection_is_told_as_it_is(house: House) -> None:
    assert Custody("volume", house.volume / "seal.key").protection(house.volume) == "none"
    assert Custody("file", house.volume / "seal.key").protection(house.volume) == "none"
    assert Custody("file", house.seal_key).protection(house.volume) in ("same-disk", "memory")
    assert Custody("file", house.memory / "seal.key").protection(house.volume) == "memory"
    link = house.root / "link"
    link.symlink_to(house.volume)
    assert Custody("file", link / "seal.key").protection(house.volume) == "none"


def test_the_secret_is_in_no_error_and_no_representation(custody: Custody) -> None:
    custody.path.write_bytes(RAW)
    key = custody.load()
    assert RAW.hex() not in repr(key)
    assert repr(RAW) not in repr(key)
    assert str(Path("seal.key")) not in repr(key)
