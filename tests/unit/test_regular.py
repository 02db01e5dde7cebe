"""What stands where a file should be is read only if it is one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import regular


def test_a_file_is_read_whole_up_to_the_size(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"seven..")
    assert regular.read(file, 7) == b"seven.."
    with pytest.raises(OSError, match="more than 6 bytes"):
        regular.read(file, 6)


def test_a_relative_name_starts_from_the_directory_that_is_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    directory = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert regular.read("file", 9, directory=directory) == b"here"
    finally:
        os.close(directory)


def test_a_link_is_followed_only_where_it_is_meant(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    (tmp_path / "link").symlink_to("file")
    assert regular.read(tmp_path / "link", 9, follow=True) == b"here"
    with pytest.raises(OSError, match="symbolic links"):
        regular.read(tmp_path / "link", 9)


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.mkdir(),
    ],
    ids=["fifo", "device", "directory"],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "odd"
    make(path)
    with pytest.raises(OSError, match="not a regular file"):
        regular.read(path, 9, follow=True)


def test_a_file_that_pretends_to_be_small_is_read_no_further() -> None:
    with pytest.raises(OSError, match="more than 10 bytes"):
        regular.read("/proc/self/mountinfo", 10)
