"""Back into an empty volume, and into no other; an interrupted or second run does no harm."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.backup.bundle import make, unpacked
from appliance.backup.restore import Restorer, lay_aside
from appliance.keys.engine import SOFTHSM, EngineState
from appliance.keys.keyset import Key, KeySet, KeyState, Moment
from appliance.provision.policy import Policy
from appliance.volume.anchor import Memory
from appliance.volume.audit import AuditLog
from appliance.volume.seal import Header
from tests.fakes import FakeEngine
from tests.volume.house import (
    LINEAGE,
    OTHER_LINEAGE,
    PAYLOAD,
    UNTOLD,
    House,
    let_no_end_be_logged,
    refused,
)

HEADER = Header(LINEAGE, 7)


def restorer(house: House, *, allow_unmounted: bool = True, expected: str | None = None) -> Restorer:
    return Restorer(house.committer(expected=expected), allow_unmounted, "0:1")


def restore(house: House, header: Header = HEADER) -> None:
    assert restorer(house).run(header, PAYLOAD, source="a file", dry_run=False) is not None


def test_an_empty_volume_gets_lineage_keys_and_generation_back(house: House) -> None:
    restore(house)
    opened = house.storage().open()
    assert (opened.header.lineage, opened.header.generation) == (LINEAGE, 7)
    assert opened.payload.keyset == PAYLOAD.keyset
    assert opened.payload.engines == PAYLOAD.engines
    assert opened.warnings == ()
    assert house.storage().remembers(opened)


def test_it_is_sealed_by_this_nodes_own_key_alone(house: House) -> None:
    restore(house)
    assert [slot.kind for slot in house.storage().open().header.slots] == ["file"]
    before = house.seal_key.read_bytes()
    for path in house.volume.iterdir():
        path.unlink()
    restore(house)
    assert house.seal_key.read_bytes() == before


def test_it_is_written_down_before_and_after(house: House) -> None:
    restore(house)
    lines = [json.loads(line) for line in (house.volume / "audit.jsonl").read_text().splitlines()]
    assert [(line["op"], line["phase"]) for line in lines] == [("restore", "begin"), ("restore", "done")]
    assert lines[0]["source"] == "a file"
    assert AuditLog(house.volume / "audit.jsonl").verify() == 2


def test_it_is_done_when_only_its_last_line_cannot_be_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_no_end_be_logged(monkeypatch)
    done = restorer(house).run(HEADER, PAYLOAD, source="a file", dry_run=False)
    assert done is not None
    assert done.said == (UNTOLD,)
    assert house.storage().open().payload.keyset == PAYLOAD.keyset


def test_a_second_run_says_that_there_is_nothing_to_do(house: House) -> None:
    restore(house)
    before = house.snapshot()
    with pytest.raises(faults.KleidiError, match="nothing to do") as caught:
        restore(house)
    assert caught.value.fault is faults.RESTORE_NOT_EMPTY
    assert house.snapshot() == before


@pytest.mark.parametrize("header", [Header(LINEAGE, 8), Header(LINEAGE, 6), Header(OTHER_LINEAGE, 7)])
def test_a_volume_that_holds_keys_is_left_alone(house: House, header: Header) -> None:
    restore(house)
    before = house.snapshot()
    assert refused(lambda: restorer(house).refuse(header)) is faults.RESTORE_NOT_EMPTY
    assert house.snapshot() == before


def test_a_volume_emptied_of_the_same_lineage_is_what_it_is_for(house: House) -> None:
    house.storage().custody.create()
    house.storage().custody.mark_used(LINEAGE)
    house.storage().anchor.advance(Memory(LINEAGE, 7))
    AuditLog(house.volume / "audit.jsonl").append("before")
    (house.volume / "ledger.json").write_text("{}")
    (house.volume / "verified.json").write_text("{}")
    restore(house)
    assert house.storage().open().warnings == ()


def test_an_older_bundle_than_what_was_seen_here_says_so(house: House) -> None:
    house.storage().anchor.advance(Memory(LINEAGE, 9))
    done = restorer(house).run(HEADER, PAYLOAD, source="", dry_run=False)
    assert done is not None
    assert done.opened.warnings == (faults.ROLLED_BACK,)
    assert done.said == (str(faults.ROLLED_BACK),)
    assert house.storage().open().warnings == (faults.ROLLED_BACK,)


@pytest.mark.parametrize("evidence", ["anchor", "mark", "setting"])
def test_a_foreign_bundle_is_refused_by_any_evidence(house: House, evidence: str) -> None:
    if evidence == "anchor":
        house.storage().anchor.advance(Memory(OTHER_LINEAGE, 1))
    if evidence == "mark":
        house.storage().custody.mark_used(OTHER_LINEAGE)
    expected = OTHER_LINEAGE if evidence == "setting" else None
    before = house.snapshot()
    fault = refused(lambda: restorer(house, expected=expected).run(HEADER, PAYLOAD, source="", dry_run=False))
    assert fault is faults.BACKUP_FOREIGN
    assert house.snapshot() == before


def test_an_unreadable_anchor_is_no_permission(house: House) -> None:
    house.anchor.write_text("{")
    assert refused(lambda: restorer(house).refuse(HEADER)) is faults.ANCHOR_UNREADABLE


def test_a_strangers_files_are_no_empty_volume(house: House) -> None:
    (house.volume / "photo.jpg").write_text("")
    assert refused(lambda: restorer(house).refuse(HEADER)) is faults.VOLUME_FOREIGN


def test_a_directory_that_may_vanish_is_refused(house: House) -> None:
    strict = restorer(house, allow_unmounted=False)
    assert refused(lambda: strict.refuse(HEADER)) is faults.VOLUME_NOT_MOUNTED


def test_a_seal_key_that_is_none_is_never_replaced(house: House) -> None:
    house.seal_key.write_bytes(b"k" * 33)
    fault = refused(lambda: restorer(house).run(HEADER, PAYLOAD, source="", dry_run=False))
    assert fault is faults.SEAL_KEY_INVALID
    assert house.seal_key.read_bytes() == b"k" * 33
    assert not list(house.volume.glob("*.seal"))


def test_a_dry_run_touches_nothing(house: House) -> None:
    before = house.snapshot()
    assert restorer(house).run(HEADER, PAYLOAD, source="", dry_run=True) is None
    assert house.snapshot() == before


def test_an_interrupted_restore_keeps_anybody_from_making_another_key(house: House) -> None:
    """What it writes first is the audit log: from then on the volume counts as emptied, not as new."""
    AuditLog(house.volume / "audit.jsonl").append("restore", phase="begin")
    provisioner = house.provisioner(policy=Policy.AUTO)
    assert refused(provisioner.run) is faults.VOLUME_EMPTIED
    restore(house)


def test_waiting_times_begin_again(house: House) -> None:
    """A key disabled elsewhere must not be destroyable at once: the clock of time served is this node's."""
    (key,), engine = PAYLOAD.keyset.keys, FakeEngine()
    old = Key.born(LINEAGE, 2, KeyState.DISABLED, engine.generate("k2"), Moment(1000, 5000))
    both = EngineState({**engine.state().files, **PAYLOAD.state(SOFTHSM).files})
    payload = replace(PAYLOAD, keyset=KeySet(LINEAGE, (key, old)), engines={SOFTHSM: both})
    done = restorer(house).run(HEADER, payload, source="", dry_run=False)
    assert done is not None
    assert [each.since.served for each in done.opened.keyset.keys] == [0, 0]
    assert done.opened.keyset.hash == payload.keyset.hash


def test_aside_means_in_memory(house: House, identity: Identities, tmp_path: Path) -> None:
    found = unpacked(make(PAYLOAD, HEADER, identity.recipients), identity)
    assert refused(lambda: lay_aside(found, tmp_path / "aside")) is faults.MEMORY_UNSAFE
    aside = house.memory / "aside"
    lay_aside(found, aside)
    assert (aside / "engines/softhsm/a1/token.object").read_bytes() == PAYLOAD.state(SOFTHSM).files[
        "a1/token.object"
    ]
    assert aside.stat().st_mode & 0o077 == 0
    assert refused(lambda: lay_aside(found, aside)) is faults.BACKUP_FAILED
