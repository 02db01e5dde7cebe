"""An open token is in memory only, and gone with the process that opened it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import faults
from appliance.volume import memory
from appliance.volume.mounts import mount_of
from tests.volume.house import CHECKOUT, refused

# Takes a room, puts an open token into it, says where, and stays until its input ends.
TENANT = """
import sys
from pathlib import Path
from appliance.volume import memory
with memory.room(Path(sys.argv[1])) as room:
    memory.unpack({"a1/token.object": b"secret"}, room / "tokens")
    print(room, flush=True)
    sys.stdin.read()
"""


def tenant(base: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TENANT, str(base)]
    return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def where(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def enter(base: Path) -> None:
    with memory.room(base):
        pass


def test_a_room_is_private_and_gone_at_the_end(memory_dir: Path) -> None:
    with memory.room(memory_dir) as room:
        assert room.parent == memory_dir
        assert room.stat().st_mode & 0o777 == 0o700
        memory.unpack({"a1/token.object": b"secret"}, room / "tokens")
    assert list(memory_dir.iterdir()) == []


def test_a_room_is_gone_after_an_error(memory_dir: Path) -> None:
    with pytest.raises(ZeroDivisionError), memory.room(memory_dir):
        raise ZeroDivisionError
    assert list(memory_dir.iterdir()) == []


def test_the_base_is_made_for_the_owner_alone(memory_dir: Path) -> None:
    enter(memory_dir / "deep" / "base")
    assert (memory_dir / "deep" / "base").stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_swept(memory_dir: Path) -> None:
    with tenant(memory_dir) as process:
        room = where(process)
        os.kill(process.pid, signal.SIGKILL)
    assert (room / "tokens" / "a1" / "token.object").exists()
    enter(memory_dir)
    assert list(memory_dir.iterdir()) == []


def test_the_room_of_a_living_process_is_left_alone(memory_dir: Path) -> None:
    with tenant(memory_dir) as first, tenant(memory_dir) as second:
        rooms = {where(first), where(second)}
        assert len(rooms) == 2
        enter(memory_dir)
        assert all((room / "tokens" / "a1" / "token.object").read_bytes() == b"secret" for room in rooms)
        first.communicate("")
        second.communicate("")
    assert list(memory_dir.iterdir()) == []


def test_many_processes_at_once_all_get_a_room(memory_dir: Path) -> None:
    processes = [tenant(memory_dir) for _ in range(6)]
    try:
        rooms = [where(process) for process in processes]
        assert len(set(rooms)) == 6
        assert all((room / "tokens").is_dir() for room in rooms)
    finally:
        for process in processes:
            process.communicate("")
    assert [process.returncode for process in processes] == [0] * 6


def test_a_disk_is_refused(tmp_path: Path) -> None:
    if mount_of(tmp_path).in_memory:
        pytest.fail("the temporary directory is in memory here; point --basetemp at a disk")
    assert refused(lambda: enter(tmp_path / "memory")) is faults.MEMORY_UNSAFE


def test_a_link_from_memory_to_a_disk_is_refused(tmp_path: Path, memory_dir: Path) -> None:
    (memory_dir / "link").symlink_to(tmp_path)
    assert refused(lambda: enter(memory_dir / "link")) is faults.MEMORY_UNSAFE


def test_a_directory_that_cannot_be_made_is_refused(memory_dir: Path) -> None:
    (memory_dir / "file").touch()
    assert refused(lambda: enter(memory_dir / "file" / "base")) is faults.MEMORY_FULL
    assert refused(lambda: enter(memory_dir / "file")) is faults.MEMORY_FULL


def test_an_unpacked_token_cannot_be_written(
    memory_dir: Path, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    tokens = memory_dir / "tokens"
    memory.unpack({"a1/token.object": b"secret", "a1/b2.object": b"key"}, tokens)
    modes = {path: path.stat().st_mode & 0o777 for path in (tokens, *tokens.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o500}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o400}
    assert as_nobody(lambda: os.access(tokens, os.W_OK)) is False


def test_what_is_collected_unpacks_to_the_same(memory_dir: Path) -> None:
    files = {"a1/token.object": b"secret", "a1/b2.object": b"", "a1/generation": b"\x00" * 8}
    memory.unpack(files, memory_dir / "tokens")
    assert memory.collect(memory_dir / "tokens") == files


def test_softhsms_lock_files_are_not_kept(memory_dir: Path) -> None:
    (memory_dir / "a1").mkdir()
    (memory_dir / "a1" / "token.lock").touch()
    (memory_dir / "a1" / "token.object").write_bytes(b"secret")
    assert memory.collect(memory_dir) == {"a1/token.object": b"secret"}
    shutil.rmtree(memory_dir / "a1")
