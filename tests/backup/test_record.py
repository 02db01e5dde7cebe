"""What is remembered of verified backups, what it covers, and what waits for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.backup.verified import Coverage, Record, Verified, text
from appliance.backup.verify import LiveKey, compare, missing
from appliance.client.report import BackupRow, Report
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.ops.operations import Command, Operations, Verb
from appliance.ops.workshop import Workshop
from appliance.volume.generations import Volume, VolumeState
from appliance.volume.ledger import Ledger
from appliance.volume.opening import Opened
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from tests.fakes import FakeEngine, made
from tests.volume.house import LINEAGE, OTHER_LINEAGE, PAYLOAD, House, refused

(FIRST,) = PAYLOAD.keyset.keys
SECOND = Key.born(LINEAGE, 2, KeyState.STAGED, made("k2", b"second answer"))
BOTH = KeySet(LINEAGE, (FIRST, SECOND))
OLD = Verified.of(Header(LINEAGE, 3), PAYLOAD, "old.age")
NEW = Verified.of(Header(LINEAGE, 4), Payload(BOTH, PAYLOAD.engines), "new.age")


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "verified.json")


def test_nothing_verified_is_not_the_same_as_not_covered(record: Record) -> None:
    assert record.covers(BOTH) is None
    record.write(OLD)
    assert record.covers(BOTH) is False
    assert Coverage.of(record, BOTH) == Coverage(3, OLD.unix, "old.age", ("v2",))
    record.write(NEW)
    assert record.covers(BOTH) is True


def test_an_older_bundle_verified_later_does_not_take_the_place_of_a_newer(record: Record) -> None:
    assert record.write(NEW)
    assert not record.write(OLD)
    assert record.read() == NEW


def test_another_lineages_backup_says_nothing_of_ours(record: Record) -> None:
    record.write(replace(NEW, lineage=OTHER_LINEAGE))
    assert record.covers(BOTH) is None
    assert record.write(OLD)


def test_a_destroyed_key_need_not_be_covered(record: Record) -> None:
    record.write(OLD)
    assert record.covers(KeySet(LINEAGE, (FIRST, replace(SECOND, state=KeyState.DESTROYED))))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": "kleidi.verified/v2"}', "null", '"x"'])
def test_a_record_that_cannot_be_read_counts_as_none(record: Record, content: str) -> None:
    assert record.path
    record.path.write_text(content)
    assert record.covers(BOTH) is None


def test_a_volume_with_nothing_but_a_record_was_emptied(house: House) -> None:
    Record(house.volume / "verified.json").write(OLD)
    survey = Volume(house.volume).survey()
    assert survey.state is VolumeState.EMPTY
    assert survey.traces


@pytest.mark.parametrize(
    ("lacks", "age", "said"),
    [
        ([], 3 * 86400 + 5, "g7 verified 3d ago, covers all keys"),
        (["v4"], 7200, "g7 verified 2h ago, lacks v4"),
        (["v4", "v5"], 59, "g7 verified just now, lacks v4, v5"),
        ([], -100, "g7 verified just now, covers all keys"),
    ],
)
def test_it_is_told_in_one_line(lacks: list[str], age: int, said: str) -> None:
    assert text(7, 1_000_000, lacks, 1_000_000 + age) == said


def test_status_tells_it() -> None:
    report = Report("OPERATIONAL", keyset="1234-abcd")
    assert "backup      never verified" in report.to_text()
    assert json.loads(report.to_json())["backup"] is None
    report = replace(report, backup=BackupRow(7, 0, "f.age", ["v4"]))
    assert ", lacks v4" in report.to_text()
    assert json.loads(report.to_json())["backup"] == {
        "generation": 7,
        "verified": 0,
        "file": "f.age",
        "lacks": ["v4"],
    }
    assert "backup" not in Report("STOPPED").to_text()


def _live(keyset: KeySet) -> list[LiveKey]:
    return [LiveKey(key.name, key.id, key.state) for key in keyset.keys]


def test_against_the_live_keys_it_matches_or_names_what_it_lacks() -> None:
    small, large = PAYLOAD, Payload(BOTH, PAYLOAD.engines)
    same = compare(large, LINEAGE, BOTH.hash, _live(BOTH))
    assert (same.verdict, same.same_states) == ("MATCHES", True)
    stale = compare(small, LINEAGE, BOTH.hash, _live(BOTH))
    assert (stale.verdict, stale.lacks) == ("STALE", ("v2",))
    ahead = compare(large, LINEAGE, small.keyset.hash, _live(small.keyset))
    assert (ahead.verdict, ahead.beyond) == ("AHEAD", ("v2",))
    retired = replace(BOTH, keys=(FIRST, replace(SECOND, state=KeyState.RETIRED)))
    assert "another state" in compare(large, LINEAGE, retired.hash, _live(retired)).to_text()
    destroyed = replace(BOTH, keys=(FIRST, replace(SECOND, state=KeyState.DESTROYED)))
    assert compare(large, LINEAGE, destroyed.hash, _live(destroyed)).verdict == "MATCHES"
    assert refused(lambda: compare(small, OTHER_LINEAGE, "", [])) is faults.BACKUP_FOREIGN


def test_which_stored_objects_it_cannot_open() -> None:
    assert missing(PAYLOAD, {FIRST.id: 5, SECOND.id: 3}) == {SECOND.id: 3}


# ---- the gate


class Desk:
    """Operations on a real volume with a fake engine."""

    def __init__(self, house: House, *, required: bool) -> None:
        self.record = Record(house.volume / "verified.json")
        self.audit = house.volume / "audit.jsonl"
        self.seen: list[Header] = []
        opened = house.provisioner().run().opened
        self.opened: Opened = opened
        self.storage = house.storage()
        self.operations = Operations(
            Workshop(self.storage, FakeEngine().alone, house.memory),
            Ledger(),
            0,
            backed_up=self.record.covers,
            before=(lambda header, _payload: self.seen.append(header),),
            require_backup=required,
        )

    def run(self, verb: Verb, key: str = "", *, without_backup: bool = False) -> None:
        command = Command(verb, key=key, without_backup=without_backup, by="0:1")
        with self.storage.volume.lock():
            self.opened = self.operations.run(self.opened, command).opened

    def verify(self) -> None:
        self.record.write(Verified.of(self.opened.header, self.opened.payload, "f"))


def test_without_the_setting_nothing_waits(house: House) -> None:
    desk = Desk(house, required=False)
    desk.run(Verb.ROTATE)
    assert desk.opened.payload.keyset.primary.name == "v2"
    assert [header.generation for header in desk.seen] == [2, 3]


def test_with_it_no_key_is_promoted_before_a_verified_backup_holds_it(house: House) -> None:
    desk = Desk(house, required=True)
    desk.verify()
    desk.run(Verb.STAGE)
    for verb, key in ((Verb.PROMOTE, "v2"), (Verb.ROTATE, "")):
        assert refused(lambda verb=verb, key=key: desk.run(verb, key)) is faults.KEY_NOT_BACKED_UP  # type: ignore[misc]
    desk.verify()
    desk.run(Verb.ROTATE)
    assert desk.opened.payload.keyset.primary.name == "v2"


def test_rotation_does_not_begin_what_it_could_not_end(house: House) -> None:
    desk = Desk(house, required=True)
    desk.verify()
    assert refused(lambda: desk.run(Verb.ROTATE)) is faults.KEY_NOT_BACKED_UP
    assert len(house.storage().open().payload.keyset.keys) == 1


def test_going_without_is_written_down(house: House) -> None:
    desk = Desk(house, required=True)
    desk.run(Verb.ROTATE, without_backup=True)
    assert '"without_backup"' in desk.audit.read_text()


def test_what_cannot_be_backed_up_is_not_committed(house: House) -> None:
    desk = Desk(house, required=False)

    def fail(_header: Header, _payload: Payload) -> None:
        raise faults.KleidiError(faults.BACKUP_FAILED)

    desk.operations = replace(desk.operations, before=(fail,))
    before = house.storage().open()
    assert refused(lambda: desk.run(Verb.STAGE)) is faults.BACKUP_FAILED
    assert house.storage().open() == before
