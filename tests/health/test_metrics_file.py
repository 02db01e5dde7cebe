"""`kleidi-probe --metrics`: all of what a scraper gets, or what was there before and one line."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.service.sockets.http import UNAVAILABLE, Answer
from tests.health.answering import PROBE, Answering, probe

TEXT = "# TYPE kleidi_state gauge\nkleidi_state 1\n# EOF"
BEFORE = "what was there before\n"


@pytest.fixture
def file(directory: Path) -> Path:
    """Where a collector looks; it has been written before."""
    path = directory / "collected" / "kleidi.prom"
    path.parent.mkdir()
    path.write_text(BEFORE)
    return path


@contextlib.contextmanager
def saying(path: Path, answer: bytes) -> Iterator[None]:
    """A server of the test's own, which says the same to everybody, and then hangs up."""
    with socket.socket(socket.AF_UNIX) as front:
        front.bind(str(path))
        front.listen()
        front.settimeout(20)

        def serve() -> None:
            with contextlib.suppress(OSError):
                caller, _ = front.accept()
                with caller:
                    caller.recv(4096)
                    caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def untouched(file: Path) -> bool:
    return file.read_text() == BEFORE and [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_has_no_name_that_node_exporter_gives_to_its_own(answering: Answering, file: Path) -> None:
    own = "# HELP process_open_fds Files.\n# TYPE process_open_fds gauge\nprocess_open_fds 9\n"
    answering.metrics = Answer(own + TEXT)
    assert probe("--metrics", file, answering.path).returncode == 0
    assert file.read_text() == f"{TEXT}\n"
    # A scraper of its own gets everything.
    assert probe("--metrics", "-", answering.path).stdout == f"{own}{TEXT}\n"


def test_a_file_is_replaced_as_a_whole(answering: Answering, file: Path) -> None:
    answering.metrics = Answer(TEXT)
    with file.open() as reader:
        done = probe("--metrics", file, answering.path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        # Who was reading still has the old one, whole.
        assert reader.read() == BEFORE
    assert file.read_text() == f"{TEXT}\n"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_collector_may_read_it_whatever_the_umask(answering: Answering, file: Path) -> None:
    file.unlink()
    command = [sys.executable, "-IS", str(PROBE), "--metrics", str(file), str(answering.path)]
    subprocess.run(command, check=True, timeout=30, umask=0o077)
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_name_without_a_directory_is_in_this_one(answering: Answering, file: Path) -> None:
    command = [sys.executable, "-IS", str(PROBE), "--metrics", "new.prom", str(answering.path)]
    subprocess.run(command, check=True, timeout=30, cwd=file.parent)
    assert file.with_name("new.prom").read_text() == f"{answering.metrics.text}\n"


def test_in_place_of_a_file_it_is_printed(answering: Answering) -> None:
    done = probe("--metrics", "-", answering.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{answering.metrics.text}\n", "")


def test_a_hundred_kilobytes_arrive(answering: Answering, file: Path) -> None:
    answering.metrics = Answer("kleidi_key_info 1\n" * 10_000)
    assert probe("--metrics", file, answering.path).returncode == 0
    assert file.read_text() == f"{answering.metrics.text}\n"


def test_no_metrics_leave_what_was_there(answering: Answering, file: Path) -> None:
    answering.metrics = Answer("E-SOMETHING: why\nmore", UNAVAILABLE)
    done = probe("--metrics", file, answering.path)
    expected = f"kleidi-probe: /metrics on {answering.path} answers 503: E-SOMETHING: why\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
    assert untouched(file)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\nno length\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nmore than it\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xff",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_half_an_answer_is_none(directory: Path, file: Path, answer: bytes) -> None:
    path = directory / "stranger.sock"
    with saying(path, answer):
        done = probe("--metrics", file, path)
    expected = f"kleidi-probe: E-SERVER-UNREACHABLE: what answers on {path} is not kleidi\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
    assert untouched(file)


def test_where_nobody_answers_it_fails_in_one_line(directory: Path, file: Path) -> None:
    done = probe("--metrics", file, directory / "none.sock")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "E-SERVER-UNREACHABLE" in done.stderr
    assert untouched(file)


def test_a_file_that_cannot_be_written_is_said_in_one_line(answering: Answering, file: Path) -> None:
    for target in (file.with_name("no") / "kleidi.prom", file.parent):
        done = probe("--metrics", target, answering.path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"kleidi-probe: {target} cannot be written: ")
    assert untouched(file)
    assert [path.name for path in file.parent.parent.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_leaves_what_was_there(answering: Answering, file: Path) -> None:
    answering.metrics = Answer("kleidi_key_info 1\n" * 10_000)
    script = (
        "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        f"sys.argv = ['kleidi-probe', '--metrics', {str(file)!r}, {str(answering.path)!r}];"
        f"runpy.run_path({str(PROBE)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"kleidi-probe: {file} cannot be written: {os.strerror(27)}\n"
    assert untouched(file)
