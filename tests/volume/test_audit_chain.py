"""A log that somebody changed, held against the head that a seal knows: noticed, and never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume.audit import AuditLog, Head
from appliance.volume.audit.entry import begins, render
from tests.volume.house import refused

same_log = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl")


def grown(log: AuditLog, count: int) -> list[Head]:
    return [log.append("stage", phase="begin", generation=number, by="0:7") for number in range(count)]


def lines_of(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def chained(*operations: str) -> bytes:
    """A log as whoever can write the file makes one: nothing in it needs a secret."""
    lines, head = [], Head()
    for number, op in enumerate(operations, 1):
        line, head = render({"seq": number, "time": "2026-11-25T10:00:00.000+00:00", "op": op}, head.hash)
        lines.append(line)
    return b"".join(lines)


def test_every_line_gives_the_head_that_it_makes(log: AuditLog) -> None:
    assert log.head() == Head(0, "0" * 64)
    heads = grown(log, 3)
    entries = [json.loads(line) for line in lines_of(log)]
    assert heads == [Head(entry["seq"], entry["hash"]) for entry in entries]
    assert log.head() == heads[-1]
    assert Head.from_json(json.loads(json.dumps(heads[-1].to_json()))) == heads[-1]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"seq": 1},
        {"seq": True, "hash": "0" * 64},
        {"seq": -1, "hash": "0" * 64},
        {"seq": 1 << 80, "hash": "0" * 64},
        {"seq": 1, "hash": "0" * 63},
        {"seq": 1, "hash": None},
    ],
)
def test_a_head_that_is_none_is_not_taken(fields: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Head.from_json(fields)


def test_a_head_that_the_log_went_on_from_is_among_its_entries(log: AuditLog) -> None:
    for known in [Head(), *grown(log, 5)]:
        log.check(known)
        assert log.verify(known) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: b"", "the log is empty"),
        (lambda whole: b"".join(whole.splitlines(keepends=True)[:2]), "the log ends with 2"),
        (lambda whole: whole[: whole.rindex(b"\n", 0, -1)] + b'\n{"seq": 4, "ti', "the log ends with 3"),
        (lambda _: chained("stage", "promote"), "the log ends with 2"),
        (lambda _: chained(*["stage"] * 9), "entry 4 is another one"),
    ],
    ids=["emptied", "cut", "torn", "re-chained and shorter", "re-chained"],
)
def test_a_log_that_was_cut_or_written_anew_lacks_the_known_entry(
    log: AuditLog, change: Callable[[bytes], bytes], said: str
) -> None:
    known = grown(log, 4)[-1]
    log.path.write_bytes(change(log.path.read_bytes()))
    for ask in (log.check, log.verify):
        with pytest.raises(KleidiError) as caught:
            ask(known)
        assert caught.value.fault is faults.AUDIT_CUT
        assert said in caught.value.detail
    assert log.verify() >= 0  # by itself it holds together


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_entry_that_only_bears_the_known_hash_is_another_one(log: AuditLog, count: int) -> None:
    known = grown(log, count)[-1]
    *others, last = lines_of(log)
    log.path.write_bytes(b"".join([*others, last.replace(b"stage", b"promote")]))
    assert refused(lambda: log.check(known)) is faults.AUDIT_CUT
    assert refused(lambda: log.verify(known)) is faults.AUDIT_BROKEN


def test_a_log_that_was_removed_is_missed(log: AuditLog) -> None:
    known = grown(log, 2)[-1]
    log.path.unlink()
    assert refused(lambda: log.check(known)) is faults.AUDIT_CUT
    assert refused(lambda: log.verify(known)) is faults.AUDIT_CUT
    log.append("rotate")
    log.append("rotate")
    assert refused(lambda: log.check(known)) is faults.AUDIT_CUT


def torn_in_the_middle(log: AuditLog) -> tuple[bytes, list[Head]]:
    """A log that was torn once, between its second entry and its third."""
    heads = grown(log, 2)
    with log.path.open("ab") as file:
        file.write(b'{"seq": 3, "time": "2026-')
    heads += grown(log, 4)
    return log.path.read_bytes(), heads


def edited(data: st.DataObject, whole: bytes) -> bytes:
    """One edit: a byte, some bytes or some lines, changed, taken away, doubled, swapped or put in."""
    a, b = sorted(data.draw(st.integers(0, len(whole)), label="place") for _ in range(2))
    lines = whole.splitlines(keepends=True)
    i, j = sorted(data.draw(st.integers(0, len(lines) - 1), label="line") for _ in range(2))
    kind = data.draw(st.sampled_from(["byte", "cut out", "double", "insert", "truncate", "swap", "drop"]))
    match kind:
        case "byte":
            value = data.draw(st.integers(0, 255))
            return whole[:a] + bytes([value]) + whole[a + 1 :]
        case "cut out":
            return whole[:a] + whole[b:]
        case "double":
            return whole[:b] + whole[a:b] + whole[b:]
        case "insert":
            return whole[:a] + data.draw(st.binary(min_size=1, max_size=40)) + whole[a:]
        case "truncate":
            return whole[:a]
        case "swap":
            lines[i], lines[j] = lines[j], lines[i]
        case _:
            del lines[i : j + 1]
    return b"".join(lines)


@given(data=st.data())
@settings(parent=same_log, max_examples=400)
def test_whatever_is_edited_up_to_the_known_head_is_noticed(log: AuditLog, data: Any) -> None:  # noqa: ANN401
    log.path.unlink(missing_ok=True)
    whole, heads = torn_in_the_middle(log)
    entries = log.tail(99)
    known = data.draw(st.sampled_from(heads))
    end = whole.index(known.hash.encode()) + len(known.hash) + len('"}')
    log.path.write_bytes(changed := edited(data, whole))
    try:
        count = log.verify(known)
    except KleidiError as error:
        assert error.fault in (faults.AUDIT_BROKEN, faults.AUDIT_CUT)  # noqa: PT017  all else is below
        assert changed != whole
        return
    # Not noticed: entries behind the head taken away from the end on, with less than a whole one left in
    # their place, and the last line break. No entry is ever another one.
    assert changed.startswith(whole[:end])
    assert count >= known.seq
    assert log.tail(99) == entries[:count]


@given(data=st.data())
@same_log
def test_without_a_head_no_bytes_at_all_are_more_than_a_broken_log(log: AuditLog, data: Any) -> None:  # noqa: ANN401
    log.path.write_bytes(data.draw(st.binary(max_size=200)))
    for ask in (log.verify, log.head, lambda: log.tail(5), lambda: log.check(Head(3, "0" * 64))):
        try:
            ask()
        except KleidiError as error:
            assert error.fault in (faults.AUDIT_BROKEN, faults.AUDIT_CUT)  # noqa: PT017
    log.append("stage")
    assert log.tail(1)[0]["op"] == "stage"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"op": "stage"', b'"op": "forged", "op": "stage"'),
        lambda line: line.replace(b'"by": "0:7"', b'"by": "0:8", "by": "0:7"'),
        lambda line: line.replace(b": ", b":  ", 1),
        lambda line: line.replace(b"stage", b"st\\u0061ge"),
        lambda line: line.replace(b"\n", b" \n"),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: line.decode().encode("utf-16"),
        lambda line: line.replace(b'"generation": 2', b'"generation": NaN'),
        lambda line: line.replace(b'"generation": 2', b'"generation": 1e999'),
        lambda line: line.replace(b'"generation": 2', b'"generation": 2.0'),
        lambda line: line.replace(b'"generation": 2', b'"generation": ' + b"9" * 5000),
        lambda line: line.replace(b'"generation": 2', b'"generation": ' + b"[" * 50_000 + b"]" * 50_000),
        lambda line: line.replace(b'"seq": 3', b'"seq": ' + b"9" * 400),
        lambda line: line.replace(b'"seq": 3', b'"seq": true'),
        lambda line: line.replace(b'"hash": "', b'"hash": "\\ud800'),
        lambda line: line.replace(b'"by": "0:7"', b'"by": "' + b"x" * (1 << 20) + b'"'),
    ],
    ids=[
        "a key twice",
        "another key twice",
        "a blank",
        "an escape",
        "a blank at the end",
        "a return",
        "a mark of byte order",
        "another encoding",
        "no number",
        "infinity",
        "a fraction",
        "a number that is too long",
        "nested",
        "a number too high",
        "a truth for a number",
        "half a character",
        "a megabyte",
    ],
)
def test_an_entry_can_be_written_in_one_way_only(log: AuditLog, change: Callable[[bytes], bytes]) -> None:
    grown(log, 5)
    lines = lines_of(log)
    lines[2] = change(lines[2])
    log.path.write_bytes(b"".join(lines))
    assert refused(log.verify) is faults.AUDIT_BROKEN
    log.append("promote")
    assert refused(log.verify) is faults.AUDIT_BROKEN


JUNK = [
    b"junk",
    b"{}",
    b"null",
    b"\xff\xfe",
    b"\x1b[2J",
    b'{"seq": 9, "time": "2026',
    b'{"seq": 5, "time": 7',
    b" ",
]


@pytest.mark.parametrize("junk", [*JUNK, b"\0junk"])
@pytest.mark.parametrize("form", [b"%s", b"%s\n", b"\n%s\n", b"%s\n\n"])
def test_a_last_line_that_no_crash_leaves_is_found(log: AuditLog, junk: bytes, form: bytes) -> None:
    """Also behind further entries: they must not vouch for it."""
    grown(log, 4)
    with log.path.open("ab") as file:
        file.write(form % junk)
    assert refused(log.verify) is faults.AUDIT_BROKEN
    log.append("promote")
    log.append("promote")
    assert refused(log.verify) is faults.AUDIT_BROKEN


def test_a_blank_line_at_the_end_is_none_that_a_crash_leaves(log: AuditLog) -> None:
    grown(log, 2)
    with log.path.open("ab") as file:
        file.write(b"\n")
    assert refused(log.verify) is faults.AUDIT_BROKEN


@pytest.mark.parametrize("zeros", [1, 300, 5000])
@pytest.mark.parametrize("arrived", [0, 1, 30, -2, -1])
def test_zeros_that_a_power_loss_leaves_are_passed_over(log: AuditLog, zeros: int, arrived: int) -> None:
    grown(log, 2)
    whole = log.path.read_bytes()
    cut = len(lines_of(log)[0]) + arrived if arrived >= 0 else len(whole) + arrived
    log.path.write_bytes(whole[:cut] + b"\0" * zeros)
    assert log.verify() == 1
    log.append("promote")
    assert log.verify() == 2


FIELDS = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=8).filter(lambda name: name not in ("seq", "hash")),
    st.text(max_size=12) | st.integers() | st.booleans() | st.lists(st.text(max_size=6), max_size=3),
    max_size=4,
)


@given(fields=FIELDS, seq=st.integers(1, 1 << 53))
def test_every_beginning_of_an_entry_is_known_as_one(fields: dict[str, object], seq: int) -> None:
    line, _ = render({"seq": seq, "time": "2026-11-25", "op": "x", **fields}, "0" * 64)
    for cut in range(1, len(line) - 1):
        assert begins(line[:cut], seq), line[:cut]
    assert not begins(line[:30], seq + 1)
    assert not begins(b"", seq)


@given(data=st.data())
@same_log
def test_torn_again_and_again_the_chain_goes_on(log: AuditLog, data: Any) -> None:  # noqa: ANN401
    log.path.unlink(missing_ok=True)
    known, cuts = Head(), data.draw(st.lists(st.floats(0, 1), max_size=6))
    for part in cuts:
        before = log.path.read_bytes() if log.path.exists() else b""
        head = log.append("stage", reason='a "quoted" reason')
        whole = log.path.read_bytes()
        cut = round(len(before) + part * (len(whole) - len(before)))
        log.path.write_bytes(whole[:cut])
        known = head if cut >= len(whole) - 1 else known
        assert log.verify(known) == known.seq
        log.check(known)
    head = log.append("promote")
    assert log.verify(head) == head.seq == known.seq + 1


def test_what_was_torn_may_not_be_changed_later(log: AuditLog) -> None:
    whole, _ = torn_in_the_middle(log)
    log.path.write_bytes(whole.replace(b'"2026-\n', b'"2027-\n'))
    assert refused(log.verify) is faults.AUDIT_BROKEN


def test_a_log_of_the_first_version_is_still_whole(log: AuditLog) -> None:
    """It told of a torn line without its hash."""
    first, head = render({"seq": 1, "time": "2026-01-01", "op": "stage"}, Head().hash)
    second, _ = render({"seq": 2, "time": "2026-01-02", "op": "x", "torn": True}, head.hash)
    log.path.write_bytes(first + second[:50] + b"\n" + second)
    assert log.verify() == 2
    log.path.write_bytes(first + b"anything\n" + second)
    assert refused(log.verify) is faults.AUDIT_BROKEN


def test_an_entry_that_is_too_long_is_refused_before_it_is_written(log: AuditLog) -> None:
    grown(log, 1)
    before = log.path.read_bytes()
    assert refused(lambda: log.append("stage", reason="x" * (1 << 20))) is faults.AUDIT_FAILED
    assert log.path.read_bytes() == before
