"""What `kleidi status` tells, and what its exit code says."""

import json
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Exit, Fault
from appliance.provision.plan import Refusal
from appliance.report import SCHEMA, STOPPED, BackupRow, Report, from_disk
from appliance.volume.anchor import Anchor
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
}
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


@pytest.mark.parametrize("report", [FULL, Report(STOPPED)], ids=["full", "empty"])
def test_json_has_every_field_of_its_schema(report: Report) -> None:
    fields = json.loads(report.to_json())
    if fields["backup"] is None:  # nothing was ever verified
        fields["backup"] = {}
    assert {name: type(value) for name, value in fields.items()} == FIELDS
    assert fields["schema"] == SCHEMA == "kleidi.status/v1"


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
    assert Report(STOPPED).to_text() == "state       STOPPED"


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
    report = from_disk(storage(tmp_path), "/run/kms.sock", Refusal(faults.VOLUME_FOREIGN, "notes.txt"))
    assert report.state == STOPPED
    assert report.exit is Exit.UNREACHABLE
    assert faults.VOLUME_FOREIGN.id in report.reason
    assert "(notes.txt)" in report.reason


def test_without_a_server_an_empty_volume_may_get_its_first_key(tmp_path: Path) -> None:
    report = from_disk(storage(tmp_path), "", Refusal(faults.PROVISIONING))
    assert "may get its first key" in report.reason
    assert report.exit is Exit.UNREACHABLE


def test_without_a_server_the_header_still_tells_lineage_and_generation(tmp_path: Path) -> None:
    (tmp_path / "generation-00000003.seal").write_bytes(seal(Header("0123456789ab", 3), b"payload", []))
    report = from_disk(storage(tmp_path), "", None)
    assert (report.lineage, report.generation) == ("0123456789ab", 3)


def test_without_a_server_a_damaged_volume_is_named(tmp_path: Path) -> None:
    (tmp_path / "generation-00000003.seal").write_bytes(b"damaged")
    assert faults.SEAL_CORRUPT.id in from_disk(storage(tmp_path), "", None).reason
