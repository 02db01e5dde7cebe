"""A refusal names the process that is in the way."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import holder

HOLDS = (
    "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(f, fcntl.LOCK_EX);"
    "print(flush=True); sys.stdin.read()"
)
LISTENS = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
    "print(flush=True); sys.stdin.read()"
)


def another(code: str, path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    return process


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch()
    return path


def test_names_the_process_that_holds_a_lock(lock: Path) -> None:
    descriptor = os.open(lock, os.O_RDWR)
    with another(HOLDS, lock) as process:
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert holder.of_lock(descriptor) == f"process {process.pid}"
        process.communicate()
    os.close(descriptor)


def test_names_nobody_where_nobody_holds_it(lock: Path) -> None:
    descriptor, other = os.open(lock, os.O_RDWR), os.open(lock, os.O_RDONLY)
    assert holder.of_lock(descriptor) == ""
    fcntl.flock(other, fcntl.LOCK_SH)
    assert holder.of_lock(descriptor) == f"process {os.getpid()}"
    os.close(other)
    assert holder.of_lock(descriptor) == ""
    os.close(descriptor)


def test_names_the_process_that_listens_on_a_socket(tmp_path: Path) -> None:
    path = Path(os.path.relpath(tmp_path / "socket"))
    with another(LISTENS, path) as process:
        assert holder.of_socket(path) == f"process {process.pid}"
        process.communicate()
    assert holder.of_socket(path) == ""


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_names_nobody_where_no_socket_is(make: object, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / "socket")
    assert holder.of_socket(tmp_path / "socket") == ""


def test_names_nobody_where_the_path_is_no_sockets(tmp_path: Path) -> None:
    assert holder.of_socket(tmp_path / ("n" * 200)) == ""
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(os.path.relpath(tmp_path / "deaf"))
        assert holder.of_socket(Path(os.path.relpath(tmp_path / "deaf"))) == ""
