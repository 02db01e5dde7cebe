"""One event, one line, for machines and for people."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import faults, logs

# echo -n kleidi/x | sha256sum
HASH = "sha256:bb42ad2c1b348499a9d7fed5dcb0eadeb9771311001003c3cdbb9ce7a0fd57a0"
Read = Callable[[], str]


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    handlers, level, propagate = logs.log.handlers[:], logs.log.level, logs.log.propagate
    yield
    logs.log.handlers[:] = handlers
    logs.log.setLevel(level)
    logs.log.propagate = propagate


@pytest.fixture
def read(capsys: pytest.CaptureFixture[str]) -> Read:
    return lambda: capsys.readouterr().err


def test_json_lines_parse(read: Read) -> None:
    logs.configure(form="json", level="info")
    before = time.time() * 1000
    logs.event(logging.WARNING, "hello", uid="1", key_id="kleidi/x", empty="", none=None, count=0)
    (line,) = read().splitlines()
    fields = json.loads(line)
    assert before - 1 <= fields.pop("ts") <= time.time() * 1000 + 1
    assert fields == {
        "level": "warning",
        "msg": "hello",
        "uid": "1",
        "key_id": "kleidi/x",
        "count": 0,
        "key_id_hash": HASH,
    }


def test_text_lines_read(read: Read) -> None:
    logs.configure(form="text", level="info")
    logs.event(logging.INFO, "hello", uid="1", empty="")
    (line,) = read().splitlines()
    assert line.endswith(" info    hello uid=1")


@pytest.mark.parametrize("form", ["json", "text"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(message=st.text(max_size=20), uid=st.text(max_size=20) | st.just("1\n00:00:00 info forged"))
def test_no_caller_can_forge_a_second_line(read: Read, form: str, message: str, uid: str) -> None:
    logs.configure(form=form, level="info")
    logs.event(logging.INFO, "event " + message, uid=uid)
    written = read()
    assert written.count("\n") == 1
    assert len(written.splitlines()) == 1


def test_what_json_does_not_know_is_written_as_text(read: Read) -> None:
    logs.configure(form="json", level="info")
    logs.event(logging.INFO, "hello", thing={1, 2})
    assert json.loads(read())["thing"] == "{1, 2}"


def test_a_bug_brings_its_traceback_in_the_same_json_line(read: Read) -> None:
    logs.configure(form="json", level="error")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logs.log.exception("a mistake of ours")
    (line,) = read().splitlines()
    assert "ZeroDivisionError" in json.loads(line)["traceback"]


def test_a_bug_brings_its_traceback_below_the_text(read: Read) -> None:
    logs.configure(form="text", level="error")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logs.log.exception("a mistake of ours")
    assert read().splitlines()[-1] == "ZeroDivisionError"


def test_less_than_the_level_is_not_written(read: Read) -> None:
    logs.configure(form="text", level="warning")
    logs.event(logging.INFO, "hello")
    assert read() == ""


def test_configuring_twice_writes_once(read: Read) -> None:
    logs.configure(form="text", level="info")
    logs.configure(form="text", level="info")
    logs.event(logging.INFO, "hello")
    assert read().count("hello") == 1


_NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name not in {"ts", "level", "msg"})
_VALUES = (
    st.text(max_size=20)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.text(max_size=5), max_size=3)
    | st.sampled_from([Path("/x"), {1}, logging.WARNING, faults.Exit.ERROR, faults.Kind.WARNING])
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moment=st.floats(0, 4e9),  # to the year 2096
    level=st.sampled_from([10, 20, 30, 40, 50]),
    message=st.text(max_size=20),
    fields=st.dictionaries(_NAMES, _VALUES, max_size=5),
    traceback=st.sampled_from(["", "Traceback (most recent call last):\nZeroDivisionError"]),
)
def test_json_by_hand_is_what_json_dumps_writes(
    moment: float, level: int, message: str, fields: dict[str, object], traceback: str
) -> None:
    by_hand = logs._json(moment, level, message, fields, traceback)  # noqa: SLF001  at a given moment
    told = {name: value for name, value in fields.items() if value not in (None, "")}
    ts = json.loads(by_hand)["ts"]
    assert abs(ts - moment * 1000) < 0.001
    assert len(repr(ts).partition(".")[2]) <= 3
    head = {"ts": ts, "level": logging.getLevelName(level).lower(), "msg": message}
    tail = {"traceback": traceback} if traceback else {}
    assert by_hand == json.dumps({**head, **told, **tail}, default=str)


def test_an_event_and_a_record_of_logging_are_written_alike(read: Read) -> None:
    logs.configure(form="text", level="info")
    logs.event(logging.INFO, "100 %", uid="1", empty="")
    logs.log.info("100 %", extra={"fields": {"uid": "1", "empty": ""}})
    first, second = (line.split(maxsplit=1)[1] for line in read().splitlines())
    assert first == second == "info    100 % uid=1"


def test_whoever_else_listens_hears_events_too(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    logs.configure(form="json", level="info")
    logs.log.propagate = True
    logs.event(logging.INFO, "hello", uid="1")
    assert [record.message for record in caplog.records] == ["hello"]
    assert json.loads(read())["uid"] == "1"


def test_a_server_may_write_in_batches(read: Read) -> None:
    with logs.batched():  # before anybody said where to
        ...
    logs.configure(form="json", level="info")
    with logs.batched():
        for number in range(3):
            logs.event(logging.INFO, "hello", number=number)
    assert [json.loads(line)["number"] for line in read().splitlines()] == [0, 1, 2]
