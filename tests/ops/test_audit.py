"""The audit log: chained, appended to, and in the way of every change that it cannot be told of."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import faults
from appliance.keys.engine import SOFTHSM
from appliance.ops.operations import Verb
from appliance.volume.audit import AuditLog
from tests.ops.shop import Shop
from tests.volume.house import UNTOLD, let_no_end_be_logged, refused


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(5):
        log.append("stage", phase="begin", generation=number, by="0:7", reason="")
    return log


def test_entries_follow_from_each_other(log: AuditLog) -> None:
    assert log.verify() == 5
    entries = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4, 5]
    assert set(entries[0]) == {"seq", "time", "op", "phase", "generation", "by", "hash"}
    assert len({entry["hash"] for entry in entries}) == 5
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_a_log_that_was_never_begun_is_whole(tmp_path: Path) -> None:
    assert AuditLog(tmp_path / "audit.jsonl").verify() == 0
    assert AuditLog(tmp_path / "audit.jsonl").tail(3) == []


def test_the_tail_is_the_last_entries_oldest_first(log: AuditLog) -> None:
    assert [entry["generation"] for entry in log.tail(2)] == [3, 4]
    assert [entry["seq"] for entry in log.tail(99)] == [1, 2, 3, 4, 5]


def test_any_byte_changed_is_found(log: AuditLog) -> None:
    whole = log.path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        log.path.write_bytes(bytes(changed))
        try:
            count = log.verify()
        except faults.KleidiError as error:
            assert error.fault is faults.AUDIT_BROKEN  # noqa: PT017  the exception is the row below
        else:
            # A last line that is no entry cannot be told from one that a crash cut off.
            assert place >= last - 1
            assert count == (4 if place >= last else 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: lines[:2] + lines[3:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [*lines[:2], b"{}\n", *lines[2:]],
        lambda lines: [*lines[:2], b"\n", *lines[2:]],
        lambda lines: [*lines[:2], b"\xff\xfe\n", *lines[2:]],
        lambda lines: [*lines[:2], b"[" * 100_000 + b"\n", *lines[2:]],
    ],
    ids=["first gone", "one gone", "swapped", "doubled", "empty one", "blank", "not text", "nested"],
)
def test_lines_taken_away_swapped_or_put_in_are_found(
    log: AuditLog, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(change(lines)))
    assert refused(log.verify) is faults.AUDIT_BROKEN


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_torn_anywhere_is_passed_over_and_the_chain_goes_on(log: AuditLog, data: Any) -> None:  # noqa: ANN401
    log.path.unlink()
    for _ in range(3):
        log.append("stage")
    whole = log.path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    cut = data.draw(st.integers(last, len(whole)))
    log.path.write_bytes(whole[:cut])
    complete = 3 if cut >= len(whole) - 1 else 2
    assert log.verify() == complete
    log.append("promote")
    log.append("promote")
    assert log.verify() == complete + 2
    assert [entry["seq"] for entry in log.tail(9)] == list(range(1, complete + 3))


def test_a_log_whose_last_entry_is_nonsense_can_still_be_appended_to(log: AuditLog) -> None:
    with log.path.open("ab") as file:
        file.write(b'{"seq": "six", "hash": null}\n')
    log.append("promote")
    assert refused(log.verify) is faults.AUDIT_BROKEN


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_what_cannot_be_written_down_does_not_happen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    before = shop.house.snapshot()

    def fail(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        assert refused(lambda: shop.run(Verb.STAGE)) is faults.AUDIT_FAILED
    after = shop.house.snapshot()
    assert before.pop("volume/audit.jsonl")
    assert after.pop("volume/audit.jsonl")
    assert after == before
    shop.run(Verb.STAGE)
    assert shop.audit.verify() >= 2


def test_what_is_done_is_done_when_only_its_last_line_cannot_be_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_no_end_be_logged(monkeypatch)
    outcome = shop.run(Verb.STAGE)
    assert shop.states() == ["primary", "staged"]
    assert outcome.said[-1] == UNTOLD


def test_every_change_has_a_beginning_and_an_end_with_its_generation(shop: Shop) -> None:
    shop.run(Verb.ROTATE, reason="yearly", by="0:4711")
    _, _, *entries = shop.audit.tail(9)
    assert [(entry["op"], entry["phase"], entry["generation"]) for entry in entries] == [
        ("stage", "begin", 2),
        ("stage", "done", 2),
        ("promote", "begin", 3),
        ("promote", "done", 3),
    ]
    assert {entry["reason"] for entry in entries} == {"yearly"}
    assert entries[-1]["key_id"] == shop.keyset.primary.id
    assert entries[-1]["keyset"] == shop.keyset.hash


def test_a_refused_change_leaves_no_line(shop: Shop) -> None:
    shop.refused(Verb.PROMOTE, "v9")
    assert shop.audit.verify() == 2


def test_no_secret_is_in_it(shop: Shop) -> None:
    shop.run(Verb.ROTATE)
    kept = shop.storage.open().payload.state(SOFTHSM).files
    text = shop.audit.path.read_text()
    for secret in (kept["pin"].decode(), *(data.hex() for data in kept.values())):
        assert secret not in text
