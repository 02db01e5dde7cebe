"""The audit log in several files: one chain, whatever is killed, moved away or put in the place of one."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume.audit import AuditLog, files
from appliance.volume.generations import Volume, VolumeState
from tests.volume.house import House, refused
from tests.volume.traced import MUTATING, Point, points, require_strace

LIMIT = 1000
APPEND = "import sys; from pathlib import Path; from appliance.volume.audit import AuditLog; "
APPEND += f"AuditLog(Path(sys.argv[1]), {LIMIT}).append('promote')"


@pytest.fixture
def log(house: House) -> AuditLog:
    return AuditLog(house.volume / "audit.jsonl", LIMIT)


def grown(log: AuditLog, count: int = 20) -> AuditLog:
    for number in range(count):
        log.append("stage", phase="begin", generation=number)
    return log


def names(log: AuditLog) -> list[str]:
    return sorted(path.name for path in log.path.parent.iterdir())


def test_a_full_file_gets_a_number_and_the_next_one_carries_its_chain_on(log: AuditLog) -> None:
    grown(log)
    count = len(names(log))
    assert names(log) == [*(f"audit-{number:08}.jsonl" for number in range(1, count)), "audit.jsonl"]
    assert count > 3
    assert all(path.stat().st_size < LIMIT + 500 for path in log.path.parent.iterdir())
    assert log.verify(log.head()) == 20 + count - 1
    entries = log.tail(99)
    assert [entry["seq"] for entry in entries] == list(range(1, 20 + count))
    assert [entry["generation"] for entry in entries if entry["op"] == "stage"] == list(range(20))
    carried = [entry for entry in entries if entry["op"] == "continued"]
    assert [entry["file"] for entry in carried] == names(log)[:-1]
    assert all(entry["previous"] == entries[entry["seq"] - 2]["hash"] for entry in carried)


def test_every_head_there_ever_was_is_found_again(log: AuditLog) -> None:
    for known in [log.append("stage", generation=number) for number in range(20)]:
        log.check(known)
        log.verify(known)


def test_files_with_numbers_are_the_volumes_own(house: House, log: AuditLog) -> None:
    grown(log)
    survey = Volume(house.volume).survey()
    assert (survey.state, survey.strangers, survey.traces) == (VolumeState.EMPTY, (), True)
    log.path.unlink()
    assert Volume(house.volume).survey().traces
    (house.volume / "audit-1.jsonl").touch()
    assert Volume(house.volume).survey().strangers == ("audit-1.jsonl",)


def test_older_files_may_be_moved_away_and_it_is_told_from_where_the_chain_is_seen(log: AuditLog) -> None:
    grown(log)
    older = files.older(log.path)
    for path in older[:2]:
        path.unlink()
    chain = log.follow(log.head())
    assert chain.missing == 2
    assert chain.first > 1
    assert chain.entries == chain.head.seq - chain.first + 1
    for path in older[2:]:
        path.unlink()
    assert log.follow(log.head()).missing == len(older)
    last = len(older)
    grown(log)
    assert names(log)[0] == f"audit-{last + 1:08}.jsonl"  # no number is given twice
    log.verify(log.head())


def test_the_file_with_the_known_entry_has_to_be_there(log: AuditLog) -> None:
    known = log.append("stage")
    grown(log)
    files.older(log.path)[0].unlink()
    for ask in (log.check, log.verify):
        with pytest.raises(KleidiError, match=r"expected entry 1, the log begins with \d") as caught:
            ask(known)
        assert caught.value.fault is faults.AUDIT_CUT


@pytest.mark.parametrize("place", [1, -2])
def test_a_file_out_of_the_middle_is_missed(log: AuditLog, place: int) -> None:
    grown(log)
    files.older(log.path)[place].unlink()
    assert refused(log.verify) is faults.AUDIT_BROKEN


@pytest.mark.parametrize(
    "change",
    [
        lambda first, second: (second, first),
        lambda first, _: (first, first),
        lambda first, second: (first, second[second.index(b"\n") + 1 :]),
        lambda first, second: (first[: first.rindex(b"\n", 0, -1) + 1], second),
        lambda first, second: (first, first + second),
        lambda first, _: (first, b""),
    ],
    ids=["swapped", "doubled", "no first entry", "no last entry", "joined", "emptied"],
)
def test_older_files_that_were_changed_are_found(
    log: AuditLog, change: Callable[[bytes, bytes], tuple[bytes, bytes]]
) -> None:
    grown(log)
    first, second, *_ = files.older(log.path)
    changed = change(first.read_bytes(), second.read_bytes())
    for path, content in zip((first, second), changed, strict=True):
        path.write_bytes(content)
    assert refused(log.verify) is faults.AUDIT_BROKEN


def test_the_newest_file_gone_is_a_log_that_was_cut(log: AuditLog) -> None:
    known = grown(log).head()
    log.path.unlink()
    assert refused(lambda: log.check(known)) is faults.AUDIT_CUT
    assert refused(lambda: log.verify(known)) is faults.AUDIT_CUT
    log.append("stage")
    assert refused(lambda: log.verify(known)) is faults.AUDIT_CUT


@given(places=st.lists(st.integers(0, 600), min_size=3, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_torn_anywhere_in_any_file_the_chain_goes_on(log: AuditLog, places: list[int]) -> None:
    for path in log.path.parent.iterdir():
        path.unlink()
    for place in places:
        grown(log, 3)
        known, size = log.head(), log.path.stat().st_size
        log.append("promote")
        if log.path.stat().st_size > size:  # else the line is the second of a new file
            os.truncate(log.path, size + min(place, log.path.stat().st_size - size))
        else:
            known = log.head() if log.path.stat().st_size <= place else known
            os.truncate(log.path, min(place, log.path.stat().st_size))
        assert log.verify(known) >= known.seq
    log.verify(log.append("promote"))


def test_a_file_of_any_number_stays_our_own(log: AuditLog) -> None:
    """With no number left, the file grows on."""
    grown(log, 2)
    log.path.with_name("audit-99999999.jsonl").write_bytes(b"")
    before = len(names(log))
    grown(log)
    assert len(names(log)) == before


def test_a_file_that_cannot_be_renamed_grows_on(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", fail)
    assert grown(log).verify() == 20
    assert names(log) == ["audit.jsonl"]


@pytest.fixture
def full(house: House, log: AuditLog) -> House:
    """The next entry begins a new file."""
    require_strace()
    while log.path.stat().st_size < LIMIT if log.path.exists() else True:
        log.append("stage")
    return house


def appended(house: House, *options: str) -> tuple[int, list[str]]:
    """One entry more, by a process of its own; its end, and what it did to the log's files."""
    log = house.volume / "audit.jsonl"
    paths = [log.parent, log, log.with_name("audit-00000001.jsonl")]
    output = house.root / "strace"
    watched = [argument for path in paths for argument in ("-P", str(path))]
    tracer = ["strace", "-f", "-qq", "-s", "16", "-o", str(output), "-e", f"trace={MUTATING}", *watched]
    ended = house.run(*tracer, *options, sys.executable, "-c", APPEND, str(log))
    return ended.returncode, output.read_text().splitlines()


def steps(house: House) -> list[Point]:
    kept = {path: path.read_bytes() for path in house.volume.iterdir()}
    code, lines = appended(house)
    assert code == 0
    for path in house.volume.iterdir():
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    return points(lines)


def test_a_new_file_is_begun_in_an_order_that_loses_nothing(full: House) -> None:
    """The rename lasts before there is another file of the name, which comes whole; then that lasts too."""
    calls = [point.syscall for point in steps(full)]
    assert calls == ["rename", "fsync", "openat", "linkat", "unlinkat", "fsync"]


@pytest.mark.parametrize("how", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_disturbed_at_every_step_of_it_no_entry_is_lost(full: House, how: str) -> None:
    log = AuditLog(full.volume / "audit.jsonl", LIMIT)
    kept, known, before = log.path.read_bytes(), log.head(), log.tail(99)
    for point in steps(full):
        appended(full, "-e", f"inject={point.syscall}:{how}:when={point.number}")
        log.check(known)
        log.verify(known)
        log.verify(log.append("retire"))
        after = [entry for entry in log.tail(99) if entry["op"] != "continued"]
        assert after[: len(before)] == before
        assert [entry["op"] for entry in after[len(before) :]] in (["retire"], ["promote", "retire"]), point
        for path in full.volume.iterdir():
            path.unlink()
        log.path.write_bytes(kept)


def test_read_while_it_is_written_and_put_away_it_is_whole(log: AuditLog) -> None:
    """`kleidi audit` asks no server and takes no lock."""
    known = grown(log, 1).head()
    writer = threading.Thread(target=grown, args=(log, 150))
    writer.start()
    looked = 0
    while writer.is_alive():
        log.verify(known)
        log.check(known)
        seqs = [entry["seq"] for entry in log.tail(20)]
        assert seqs == list(range(seqs[0], seqs[-1] + 1))
        looked += 1
    writer.join()
    assert looked
    assert log.tail(1)[0]["generation"] == 149


def test_appending_and_checking_read_no_more_of_a_long_log_than_its_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(house.volume / "audit.jsonl")
    log.append("stage")
    line = log.path.read_bytes()
    log.path.write_bytes(b"".join([line] * 20_000))
    read = 0
    pread = os.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read
        read += size
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    known = log.append("promote")
    log.check(known)
    assert log.tail(1)[0]["hash"] == known.hash
    assert 0 < read < log.path.stat().st_size // 10


def test_a_line_is_read_back_whole_wherever_blocks_meet(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(log)
    whole = log.tail(99)
    for size in (1, 2, 7, 100, 161, 1 << 20):
        monkeypatch.setattr(files, "_BLOCK", size)
        assert log.tail(99) == whole


def a_terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.with_name("elsewhere")),
        lambda path: path.mkdir(),
        a_terabyte,
    ],
    ids=["fifo", "device", "link", "directory", "a terabyte"],
)
@pytest.mark.parametrize("name", ["audit.jsonl", "audit-00000001.jsonl"])
def test_what_is_no_file_is_refused_at_once(log: AuditLog, make: Callable[[Path], None], name: str) -> None:
    make(log.path.with_name(name))
    for ask in (log.verify, log.head, lambda: log.tail(3), lambda: log.check(log.head())):
        assert refused(ask) is faults.AUDIT_UNREADABLE
    assert refused(lambda: log.append("stage")) is faults.AUDIT_FAILED
    assert not (log.path.parent / "elsewhere").exists()


def test_a_flood_behind_the_last_entry_is_not_searched_for_ever(log: AuditLog) -> None:
    grown(log, 1)
    with log.path.open("ab") as file:
        file.write(b"\n" * (4 << 20))
    assert refused(lambda: log.append("stage")) is faults.AUDIT_FAILED
    assert refused(log.verify) is faults.AUDIT_BROKEN
