"""Log lines in batches: none is lost or cut, and nobody but their thread waits for a slow reader."""

import contextlib
import fcntl
import os
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from threading import Event
from typing import TextIO

import pytest

from appliance import log_stream
from appliance.log_stream import MOST_LINES, LogStream


@dataclass(frozen=True)
class Pipe:
    """As small as the kernel makes one."""

    reading: int
    writing: TextIO

    def read(self) -> str:
        """All that is there now."""
        found = b""
        while select.select([self.reading], [], [], 0)[0] and (more := os.read(self.reading, 1 << 16)):
            found += more
        return found.decode()

    def read_until(self, end: str) -> str:
        found = ""
        while not found.endswith(end):
            found += os.read(self.reading, 1 << 16).decode()
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writing, "w") as stream:
        yield Pipe(reading, stream)
    with contextlib.suppress(OSError):
        os.close(reading)


def left_out(number: int) -> str:
    return f"left out: {number}"


@pytest.fixture
def lines(pipe: Pipe) -> LogStream:
    return LogStream(pipe.writing, left_out)


def test_a_line_is_written_at_once_unless_in_batches(lines: LogStream, pipe: Pipe) -> None:
    lines.write("before")
    assert pipe.read() == "before\n"
    with lines.batched():
        lines.write("inside")
        assert pipe.read_until("\n") == "inside\n"
    lines.write("after")
    assert pipe.read() == "after\n"


def test_an_urgent_line_is_out_when_it_was_written_and_all_before_it(
    lines: LogStream, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "_URGENT_SECONDS", 60)  # a machine may be busier than a reader is slow
    with lines.batched():
        for turn in range(50):
            lines.write(f"calm {turn}")
            lines.write(f"urgent {turn}", urgent=True)
            assert pipe.read() == f"calm {turn}\nurgent {turn}\n"


def test_a_flush_lets_out_what_was_written(
    lines: LogStream, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "_LAST_SECONDS", 60)
    lines.flush()
    with lines.batched():
        for turn in range(50):
            lines.write(f"line {turn}")
            lines.flush()
            assert pipe.read() == f"line {turn}\n"


@pytest.mark.parametrize("ends_by", [None, ZeroDivisionError, SystemExit])
def test_nothing_is_left_at_the_end(
    lines: LogStream, pipe: Pipe, ends_by: type[BaseException] | None
) -> None:
    try:
        with lines.batched():
            lines.write("the last")
            if ends_by:
                raise ends_by
    except (ZeroDivisionError, SystemExit):
        assert ends_by
    assert pipe.read() == "the last\n"


def test_lines_of_many_threads_are_whole_and_each_ones_in_order(lines: LogStream, pipe: Pipe) -> None:
    def write(worker: int) -> None:
        for turn in range(1000):
            lines.write(f"{worker} {turn}", urgent=turn % 100 == 0)

    with ThreadPoolExecutor(5) as pool, lines.batched():
        done = [pool.submit(write, worker) for worker in range(4)]
        text = ""
        while text.count("\n") < 4000:
            text += os.read(pipe.reading, 1 << 16).decode()
        assert not [each.exception() for each in done if each.exception()]
    for worker in range(4):
        own = [line.split()[1] for line in text.splitlines() if line.split()[0] == str(worker)]
        assert own == [str(turn) for turn in range(1000)]


def test_a_reader_that_sleeps_makes_nobody_wait_and_is_told_what_he_missed(
    lines: LogStream, pipe: Pipe
) -> None:
    many = 3 * MOST_LINES
    with lines.batched():
        lines.write("x" * 8192)  # more than the pipe takes: the thread waits from here on
        for number in range(many):
            lines.write(f"line {number}", urgent=number == 7)
        with ThreadPoolExecutor(1) as pool:
            reads = pool.submit(pipe.read_until, "end\n")
            lines.write("on again")  # counted among what is left out, or the first that gets in again
            while not reads.done():
                lines.write("end", urgent=True)
            told = reads.result().split("end\n")[0].splitlines()
    missed = sum(int(line.removeprefix("left out: ")) for line in told if line.startswith("left out"))
    numbers = [int(line.split()[1]) for line in told if line.startswith("line ")]
    assert missed >= many - MOST_LINES - 1
    assert numbers == [*range(len(numbers))]
    assert len(numbers) >= MOST_LINES - 1
    assert told[0] == "x" * 8192


def test_a_reader_that_never_reads_does_not_hold_up_the_end(
    lines: LogStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "_LAST_SECONDS", 0.05)
    with lines.batched():
        for _ in range(2 * MOST_LINES):
            lines.write("x" * 100)


def test_a_reader_that_went_away_is_no_error(lines: LogStream, pipe: Pipe) -> None:
    os.close(pipe.reading)
    lines.write("nobody hears it")
    with lines.batched():
        lines.write("nor that", urgent=True)


@pytest.mark.parametrize("in_batches", [True, False])
def test_a_line_is_whole_where_a_write_takes_a_part_or_none(
    lines: LogStream, pipe: Pipe, *, in_batches: bool
) -> None:
    os.set_blocking(pipe.writing.fileno(), False)
    text = "x" * 300_000
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_until, "\n")
        if in_batches:
            with lines.batched():
                lines.write(text)
        else:
            lines.write(text)
        assert read.result() == f"{text}\n"


def test_what_the_stream_cannot_say_is_written_all_the_same(pipe: Pipe) -> None:
    ascii_only = os.fdopen(os.dup(pipe.writing.fileno()), "w", encoding="ascii")
    with ascii_only:
        LogStream(ascii_only, left_out).write("Grüße")
    assert pipe.read() == "Gr\\xfc\\xdfe\n"


def test_a_stream_without_a_descriptor_and_none_at_all() -> None:
    stream = StringIO()
    lines = LogStream(stream, left_out)
    with lines.batched():
        lines.write("inside")
    lines.write("after")
    assert stream.getvalue() == "inside\nafter\n"
    LogStream(None, left_out).write("nowhere")


def test_another_programs_line_stands_in_no_line_of_ours(lines: LogStream, pipe: Pipe) -> None:
    """PID 1 prints on the same pipe; what is larger than a pipe takes at once may be cut by it."""
    ours, theirs, last = "o" * 150, b"t" * 150 + b"\n", "the last"

    over = Event()

    def print_theirs() -> None:
        while not over.is_set():
            os.write(pipe.writing.fileno(), theirs)

    with ThreadPoolExecutor(2) as pool:
        read = pool.submit(pipe.read_until, f"{last}\n")
        other = pool.submit(print_theirs)
        with lines.batched():
            for _ in range(5000):
                lines.write(ours)
        over.set()
        other.result()
        lines.write(last)
        assert set(read.result().splitlines()) == {ours, theirs.decode().rstrip("\n"), last}
