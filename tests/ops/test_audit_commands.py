"""`kleidi audit`: what it says of the log, and of the head that the newest seal knows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import assembly, faults, hardening
from appliance.cli import audit
from appliance.cli.options import Output
from appliance.faults import Exit, KleidiError
from appliance.volume.audit import AuditLog, Head
from tests.ops.shop import Node
from tests.volume.house import House, refused

Verify = Callable[[Head | None], str]


@pytest.fixture
def log(house: House, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hardening, "shut", lambda: None)  # for a process of its own
    log = AuditLog(house.volume / "audit.jsonl", 1000)
    for number in range(3):
        log.append("stage", phase="begin", generation=number)
    return log


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verify:
    """What the command prints when the seal knows this head."""

    def run(known: Head | None, output: Output = Output.TEXT) -> str:
        monkeypatch.setattr(assembly, "sealed_head", lambda _: known)
        audit.verify(output=output)
        return capsys.readouterr().out

    return run


def test_it_says_that_the_seals_head_is_there(log: AuditLog, verify: Verify) -> None:
    known = log.head()
    log.append("stage", phase="done")
    assert verify(known) == "ok, 4 entries, and the seal's head (entry 3) is among them\n"
    assert verify(Head()) == "ok, 4 entries; the seal was made ahead of the first of them\n"


@pytest.mark.usefixtures("log")
def test_it_says_that_the_seal_knows_none(verify: Verify) -> None:
    text = verify(None)
    assert (
        text
        == "ok, 3 entries; not compared with the seal: it was made by a kleidi that did not remember any\n"
    )


def test_it_says_where_the_chain_begins(log: AuditLog, verify: Verify) -> None:
    while len(found := sorted(log.path.parent.glob("audit-*"))) < 2:
        log.append("stage")
    found[0].unlink()
    first = json.loads(found[1].read_text().splitlines()[0])["seq"]
    last = log.head().seq
    said = f"ok, {last - first + 1} entries from entry {first} on (1 older file is not here), and the seal's"
    assert verify(log.head()).startswith(said)
    found[1].unlink()
    assert "(2 older files are not here)" in verify(log.head())


def test_for_programs_it_says_all_of_it(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    audit.verify(output=Output.JSON)
    fields = json.loads(capsys.readouterr().out)
    assert fields.pop("why_not").startswith("E-VOLUME-EMPTY, ")
    assert fields == {
        "schema": "kleidi.audit-verify/v1",
        "ok": True,
        "entries": 3,
        "first": 1,
        "missing_files": 0,
        "head": log.head().to_json(),
        "compared": False,
        "sealed": None,
    }


def test_a_log_without_the_seals_head_is_refused(log: AuditLog, verify: Verify) -> None:
    known = log.head()
    log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[:2]))
    assert refused(lambda: verify(known)) is faults.AUDIT_CUT
    assert faults.AUDIT_CUT.exit is Exit.INTEGRITY
    with pytest.raises(KleidiError, match="expected entry 3, the log ends with 2"):
        verify(known)


def test_a_seal_that_cannot_be_opened_is_named(house: House) -> None:
    node = Node(house.root, house.memory)
    assert node.kleidi("provision").returncode == 0
    assert node.kleidi("key", "stage").returncode == 0
    before = node.snapshot()
    node.seal_key.rename(node.seal_key.with_name("away"))
    verified = node.kleidi("audit", "verify")
    assert verified.returncode == Exit.OK
    assert verified.stdout.startswith("ok, 4 entries; not compared with the seal: E-SEAL-KEY-MISSING, ")
    node.seal_key.with_name("away").rename(node.seal_key)
    assert node.kleidi("audit", "verify").returncode == Exit.OK
    assert node.snapshot() == before  # it only looked


@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[2J", "\udcff", "\u2028", "\u202e"])
def test_a_reason_stays_one_line_of_text(
    log: AuditLog, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    log.append("stage", reason=reason)
    audit.tail(count=1)
    _, line = capsys.readouterr().out.splitlines()
    assert line.isprintable()
    assert "reason=" in line
    assert log.verify() == 4


def test_a_tail_longer_than_the_log_is_all_of_it(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    audit.tail(count=99)
    assert len(capsys.readouterr().out.splitlines()) == 1 + log.verify()


@pytest.mark.usefixtures("log")
def test_a_log_that_is_no_file_cannot_be_read(house: House, tmp_path: Path) -> None:
    (house.volume / "audit.jsonl").rename(tmp_path / "elsewhere")
    (house.volume / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    assert refused(lambda: audit.verify(output=Output.TEXT)) is faults.AUDIT_UNREADABLE
