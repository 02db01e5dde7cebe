"""What an operator names is read: files, pipes, standard input, and never more than was meant."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance import faults, given
from appliance.faults import Fault, KleidiError

READ = "from appliance import given; print(given.read('-', 9).decode())"


def refused(name: str | Path, most: int = 9, larger: Fault | None = None) -> KleidiError:
    with pytest.raises(KleidiError) as caught:
        given.read(name, most, larger=larger)
    return caught.value


def test_a_file_is_read_up_to_the_size(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"seven..")
    assert given.read(file, 7) == b"seven.."
    assert refused(file, 6).fault is faults.INPUT_UNREADABLE
    assert refused(file, 6, faults.USAGE_INVALID).fault is faults.USAGE_INVALID


@pytest.mark.parametrize("name", ["nothing", "directory", "locked/file", "nul\0"])
def test_what_cannot_be_read_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    error = refused(tmp_path / name)
    assert error.fault is faults.INPUT_UNREADABLE
    assert error.detail


def test_what_never_ends_is_read_no_further() -> None:
    assert "more than 9 bytes" in refused("/dev/zero").detail


def test_a_fifo_is_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"here"))
    writer.start()
    assert given.read(fifo, 9) == b"here"
    writer.join()


def test_a_dash_is_standard_input() -> None:
    run = [sys.executable, "-c", READ]
    assert subprocess.run(run, input=b"here", capture_output=True, check=True).stdout == b"here\n"


def test_closed_standard_input_is_a_fault_and_no_traceback() -> None:
    shut = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", READ]
    done = subprocess.run(shut, capture_output=True, text=True, check=False)
    assert "E-INPUT-UNREADABLE" in done.stderr.splitlines()[-1]
