"""What `kleidi status` tells, and what its exit code says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.cli.stopped import from_disk
from appliance.client.report import BackupRow, EngineRow, Reason, RefusedRow, Report
from appliance.faults import Exit, Fault, KleidiError
from appliance.provision.plan import Refusal
from appliance.volume.anchor import Anchor, Memory
from appliance.volume.custody import Custody
from appliance.volume.generations import Volume
from appliance.volume.opening import Storage
from appliance.volume.seal import Header, seal

FIELDS = {
    "schema": str,
    "state": str,
    "reason_id": str,
    "reason": str,
    "socket": str,
    "key_id": str,
    "lineage": str,
    "keyset": str,
    "generation": int,
    "protection": str,
    "keys": list,
    "backup": dict,
    "reasons": list,
    "refused": list,
    "losses": list,
    "engines": list,
}
NOBODY = KleidiError(faults.SERVER_UNREACHABLE, "/run/admin.sock")
FULL = Report(
    "OPERATIONAL",
    socket="/run/kms.sock",
    key_id="kleidi/0123456789ab/v1/fedcba987654",
    lineage="0123456789ab",
    keyset="1234-abcd",
    generation=3,
    protection="none",
    backup=BackupRow(3, 1_795_000_000, "kleidi.age"),
)


def storage(volume: Path) -> Storage:
    return Storage(Volume(volume), Custody("file", volume / "seal.key"), Anchor(None))


@pytest.mark.parametrize("report", [FULL, Report("STOPPED")], ids=["full", "empty"])
def test_json_has_every_field_of_its_schema(report: Report) -> None:
    fields = json.loads(report.to_json())
    if fields["backup"] is None:  # nothing was ever verified
        fields["backup"] = {}
    assert {name: type(value) for name, value in fields.items()} == FIELDS
    assert fields["schema"] == Report.schema == "kleidi.status/v1"


def test_text_has_one_line_per_thing_that_is_known() -> None:
    lines = FULL.to_text().splitlines()
    assert [line[:11].strip() for line in lines] == [
        "state",
        "socket",
        "key id",
        "lineage",
        "key set",
        "generation",
        "protection",
        "backup",
    ]
    assert Report("STOPPED").to_text() == "state       STOPPED"


@pytest.mark.parametrize(
    ("used_from", "said"),
    [
        ("copy", "softhsm: 2 keys, used from copies in memory"),
        (
            "token",
            "softhsm: 2 keys, used from the token's files (the primary key allows no copy: docs/adr/0010)",
        ),
        ("", None),
    ],
)
def test_it_says_what_the_primary_key_is_used_from(used_from: str, said: str | None) -> None:
    row = EngineRow("softhsm", remote=False, keys=2, used_from=used_from)
    shown = dict(line.split(maxsplit=1) for line in replace(FULL, engines=[row]).to_text().splitlines())
    assert shown.get("engine") == said
    away = replace(row, away=Reason("E-X", "E-X: why"))
    assert away.to_text() == "softhsm: 2 keys, away: E-X: why"


def test_no_protection_is_said_in_so_many_words() -> None:
    assert "whoever has the volume has the keys" in FULL.to_text()


def test_exits_with_success_only_without_a_reason() -> None:
    assert FULL.exit is Exit.OK


@pytest.mark.parametrize("fault", faults.every(), ids=lambda fault: fault.id)
def test_exits_with_its_reasons_own_code(fault: Fault) -> None:
    assert Report("DEGRADED", fault.id, str(fault)).exit is fault.exit


def test_a_reason_that_only_a_newer_server_knows_is_not_success() -> None:
    assert Report("DEGRADED", "E-FROM-THE-FUTURE", "something new").exit is not Exit.OK


def test_without_a_server_it_says_so_and_what_the_volume_waits_for(tmp_path: Path) -> None:
    report = from_disk(
        storage(tmp_path), "/run/kms.sock", Refusal(faults.VOLUME_FOREIGN, "notes.txt"), NOBODY
    )
    assert report.state == "STOPPED"
    assert report.exit is Exit.UNREACHABLE
    assert faults.VOLUME_FOREIGN.id in report.reason
    assert "(notes.txt)" in report.reason


def test_without_a_server_an_empty_volume_may_get_its_first_key(tmp_path: Path) -> None:
    report = from_disk(storage(tmp_path), "", Refusal(faults.PROVISIONING), NOBODY)
    assert "may get its first key" in report.reason
    assert report.exit is Exit.UNREACHABLE


class Aside:
    """A volume of generation 3 with its seal key, while no server answers."""

    lineage = "0123456789ab"

    def __init__(self, root: Path) -> None:
        self.volume = root / "volume"
        self.volume.mkdir()
        self.custody = Custody("file", root / "seal.key")
        self.custody.create()
        self.anchor = Anchor(root / "anchor.json")
        self.newest = self.volume / "generation-00000003.seal"
        self.newest.write_bytes(seal(Header(self.lineage, 3), b"payload", []))

    def report(self, unanswered: KleidiError = NOBODY) -> Report:
        return from_disk(Storage(Volume(self.volume), self.custody, self.anchor), "", None, unanswered)

    def ids(self) -> list[str]:
        report = self.report()
        assert all(each.reason in report.reason for each in report.reasons)
        assert (report.reason_id, report.exit) == (report.reasons[0].id, Exit.UNREACHABLE)
        return [each.id for each in report.reasons]


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    return Aside(tmp_path)


def test_without_a_server_the_header_still_tells_lineage_and_generation(aside: Aside) -> None:
    report = aside.report()
    assert (report.state, report.lineage, report.generation) == ("STOPPED", aside.lineage, 3)
    assert aside.ids() == [NOBODY.fault.id]


def test_without_a_server_a_damaged_volume_is_named(aside: Aside) -> None:
    aside.newest.write_bytes(b"damaged")
    assert aside.ids() == [NOBODY.fault.id, faults.SEAL_CORRUPT.id]


def test_without_a_server_a_rolled_back_volume_is_named(aside: Aside) -> None:
    aside.anchor.advance(Memory(aside.lineage, 4))
    assert aside.ids() == [NOBODY.fault.id, faults.ROLLED_BACK.id]
    assert aside.report().generation == 3


def test_without_a_server_another_lineage_is_named(aside: Aside) -> None:
    aside.anchor.advance(Memory("ba9876543210", 3))
    assert aside.ids() == [NOBODY.fault.id, faults.LINEAGE_FOREIGN.id]


def test_without_a_server_all_reasons_are_told_and_the_worst_first(aside: Aside) -> None:
    aside.anchor.advance(Memory(aside.lineage, 4))
    aside.custody.path.unlink()
    assert aside.ids() == [NOBODY.fault.id, faults.SEAL_KEY_MISSING.id, faults.ROLLED_BACK.id]
    lines = [line for line in aside.report().to_text().splitlines() if line.startswith("reason ")]
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (faults.SERVER_UNREACHABLE, "STOPPED"),
        (faults.SERVER_MUTE, "MUTE"),
        (faults.SERVER_ELSEWHERE, "ELSEWHERE"),
        (faults.SERVER_DENIED, "UNKNOWN"),
    ],
    ids=lambda each: str(getattr(each, "id", each)),
)
def test_only_a_server_that_is_nowhere_is_called_stopped(aside: Aside, fault: Fault, state: str) -> None:
    report = aside.report(KleidiError(fault))
    assert (report.state, report.reason_id, report.exit) == (state, fault.id, fault.exit)
    assert report.generation == 3


def test_refused_decrypts_are_a_line_each_with_a_few_key_ids() -> None:
    row = RefusedRow("foreign", 2000, 1_795_000_000, 1_795_000_060, [f"id-{n}" for n in range(5)])
    text = row.to_text(1_795_000_180)
    assert text == "2,000 decrypts, the last 2m ago: a key of another lineage (id-0, id-1, id-2, …)"
    assert Report("OPERATIONAL", refused=[row, row]).to_text().count("\nrefused     2,000 decrypts, ") == 2
