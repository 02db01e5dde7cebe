"""An etcd snapshot, read offline: what a real etcd 3.4 wrote, kept beside this test.

It was made of 150 Secrets under v1, 100 of them rewritten under v2, ten removed, one of those made
again under v3, two namespaces, and keys of somebody else's prefix.
"""

import contextlib
import gzip
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.counting import count
from appliance.usage.snapshot import Snapshot

WHOLE = gzip.decompress((Path(__file__).parent / "snapshot.db.gz").read_bytes())
PAGE = 4096


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.db"
    path.write_bytes(WHOLE)
    return path


def counted(file: Path, prefix: str = "/registry") -> dict[str, int]:
    with Snapshot.open(file, prefix) as source:
        tally = count(source, prefix)
    assert tally.complete
    return {row.key_id[-12:] or row.kind: count for row, count in tally.rows.items()}


def refused(file: Path) -> None:
    with pytest.raises(KleidiError) as caught:
        counted(file)
    assert caught.value.fault is faults.SNAPSHOT_INVALID


def test_the_last_revision_of_each_key_counts_and_a_removed_one_does_not(file: Path) -> None:
    assert counted(file) == {
        "identity": 2,
        "000000000001": 40,
        "000000000002": 100,
        "000000000003": 1,
    }


def test_the_revision_is_etcds(file: Path) -> None:
    with Snapshot.open(file, "/registry") as source:
        assert count(source, "/registry").revision == 266


def test_a_prefix_ends_where_it_ends(file: Path) -> None:
    assert counted(file, "/registry2") == {"000000000009": 1}


def test_without_the_closing_hash_it_is_a_database_from_a_stopped_etcd(file: Path) -> None:
    file.write_bytes(WHOLE[:-32])
    assert counted(file)["000000000002"] == 100


@pytest.mark.parametrize("size", [0, 1, 31, 512, PAGE, PAGE + 16, 3 * PAGE, len(WHOLE) // 2, len(WHOLE) - 1])
def test_cut_it_is_refused(file: Path, size: int) -> None:
    file.write_bytes(WHOLE[:size])
    refused(file)


def test_any_changed_byte_is_refused(file: Path) -> None:
    for place in range(0, len(WHOLE), 5003):
        changed = bytearray(WHOLE)
        changed[place] ^= 1
        file.write_bytes(changed)
        refused(file)


def test_one_damaged_meta_page_is_what_the_other_is_for(file: Path) -> None:
    both = bytearray(WHOLE[:-32])
    for damaged in (0, PAGE):
        one = bytearray(both)
        one[damaged + 40] ^= 1
        file.write_bytes(one)
        try:
            assert counted(file)["identity"] == 2
        except KleidiError as error:
            # The older of the two may lead to pages that were used again since.
            assert error.fault is faults.SNAPSHOT_INVALID  # noqa: PT017
    both[40] ^= 1
    both[PAGE + 40] ^= 1
    file.write_bytes(both)
    refused(file)


def test_without_a_hash_damage_never_becomes_anything_but_a_fault(file: Path) -> None:
    plain = WHOLE[:-32]
    for place in range(2 * PAGE, len(plain), 211):
        changed = bytearray(plain)
        changed[place] ^= 0xFF
        file.write_bytes(changed)
        with contextlib.suppress(KleidiError):
            counted(file)


@pytest.mark.parametrize("prefix", ["registry", "//registry", "/registry/", "x/../registry"])
def test_the_prefix_is_the_api_servers(file: Path, prefix: str) -> None:
    assert counted(file, prefix) == counted(file)
