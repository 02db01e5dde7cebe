"""The health socket's HTTP: what is asked rightly, and every caller that is no probe."""

import contextlib
import socket
import time
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import KleidiError
from tests.health.answering import LARGE, STATUS, Answering
from tests.service.asked import received
from tests.service.journal import Journal
from tests.service.running import until


def test_the_status_is_there_as_json(answering: Answering) -> None:
    answer = answering.send(b"GET /status.json HTTP/1.1\r\n\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in answer
    assert answering.get("/status.json") == (200, f"{STATUS}\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz/none HTTP/1.1\r\n\r\n", 404),
        (b"GET /%6civez HTTP/1.1\r\n\r\n", 404),
        (b"GET /livez#ping HTTP/1.1\r\n\r\n", 404),
        (b"GET http://localhost/livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nA: b\nHost: x\r\n\r\n", 400),
        (b"GET /../livez HTTP/1.0\r\n\r\n", 404),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 405),
        (b"HEAD /livez HTTP/1.1\r\n\r\n", 405),
        (b"GET livez HTTP/1.1\r\n\r\n", 400),
        (b"GET  /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/2\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x00\xff\xfe\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
        (b"GET /" + b"a" * 1024 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nX: " + b"a" * 5000 + b"\r\n\r\n", 431),
        (b"a" * 100_000, 431),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_is_no_question_of_a_probe_is_refused(
    answering: Answering, request_: bytes, status: int
) -> None:
    assert answering.send(request_).startswith(f"HTTP/1.1 {status} ".encode())


def test_one_connection_is_one_answer(answering: Answering) -> None:
    answer = answering.send(b"GET /livez HTTP/1.1\r\n\r\n" * 2)
    assert answer.count(b"HTTP/1.1") == 1


def test_a_question_may_come_in_pieces(answering: Answering) -> None:
    with answering.connect() as caller:
        for letter in b"GET /livez HTTP/1.1\r\n\r\n":
            caller.sendall(bytes([letter]))
        assert received(caller).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\n"], ids=["nothing", "half of it"])
def test_who_does_not_go_on_is_shown_out(answering: Answering, said: bytes) -> None:
    started = time.monotonic()
    with answering.connect() as caller:
        caller.sendall(said)
        assert received(caller) == b""
    assert 1 < time.monotonic() - started < 15


def test_a_crowd_that_says_nothing_is_bounded_and_goes(answering: Answering) -> None:
    with contextlib.ExitStack() as callers:
        for _ in range(64):
            callers.enter_context(answering.connect())
        until(lambda: answering.get("/livez")[0] == 503, "it is full")
        until(lambda: answering.get("/livez")[0] == 200, "they are shown out")


def test_a_caller_that_leaves_is_no_trouble(answering: Answering) -> None:
    for said in (b"", b"GET /li", b"GET /livez HTTP/1.1\r\n\r\n"):
        for _ in range(10):
            with answering.connect() as caller:
                caller.sendall(said)


def test_only_its_owner_may_ask(answering: Answering) -> None:
    assert answering.path.stat().st_mode & 0o777 == 0o600


def test_the_socket_goes_with_its_server(directory: Path) -> None:
    path = directory / "health.sock"
    with Answering(path):
        assert path.is_socket()
    assert not path.exists()


def test_a_socket_left_behind_is_replaced(directory: Path) -> None:
    path = directory / "health.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with Answering(path) as answering:
        assert answering.get("/livez") == (200, "ok\n")


def test_a_socket_that_was_removed_comes_back(answering: Answering) -> None:
    answering.path.unlink()
    assert answering.run(answering.health.keep(0, 1)) == ""
    assert answering.get("/readyz") == (200, "ok\n")


def test_a_second_server_leaves_the_first_one_its_socket(answering: Answering) -> None:
    second = answering.listeners()[0]
    with pytest.raises(KleidiError) as caught:
        answering.run(second.open())
    assert caught.value.fault is faults.SOCKET_IN_USE
    assert answering.get("/readyz") == (200, "ok\n")


def test_an_answer_may_be_larger_than_what_a_socket_holds(answering: Answering) -> None:
    assert answering.get("/large") == (200, f"{LARGE}\n")


def test_who_does_not_read_a_large_answer_is_shown_out_and_nothing_is_kept_for_him(
    answering: Answering,
) -> None:
    with contextlib.ExitStack() as callers:
        opened = [callers.enter_context(answering.connect()) for _ in range(64)]
        for caller in opened:
            caller.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        until(lambda: answering.get("/livez")[0] == 503, "it is full")
        until(lambda: answering.get("/livez")[0] == 200, "they are shown out")
        # Over, and not only given up: what could not be sent is not kept for later.
        assert all(len(received(caller)) < len(LARGE) for caller in opened)


def test_a_mistake_of_ours_is_logged_and_not_told(answering: Answering) -> None:
    journal = Journal()
    with journal.kept("json"):
        assert answering.get("/bug") == (500, f"{faults.INTERNAL}\n")
        assert "a secret of the bug's" in journal.lines(msg="a mistake of ours", path="/bug")[0]["traceback"]


def test_what_stands_behind_the_question_mark_is_read_as_the_control_plane_does(
    answering: Answering,
) -> None:
    assert answering.get("/query?verbose&exclude=a%20b&exclude=c&exclude=%ff&x=") == (200, "kept\n")
    (query,) = answering.queries
    assert query == {"verbose": [""], "exclude": ["a b", "c", "\N{REPLACEMENT CHARACTER}"], "x": [""]}


def test_an_answer_is_for_nobody_to_keep_or_to_guess_at(answering: Answering) -> None:
    head = answering.send(b"GET /livez HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert {b"Cache-Control: no-cache, private", b"X-Content-Type-Options: nosniff"} <= set(head)
