"""An open token is in memory only, and gone with the process that opened it."""

import os
import secrets
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
from tests.volume.house import CHECKOUT, KLEIDI, House, refused

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


needs_another_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets what others have made")


def test_a_mount_that_is_open_to_all_gets_a_room_of_ours_below() -> None:
    shm = Path("/dev/shm")  # noqa: S108  anybody's, as the kubelet's emptyDir is
    with memory.room(shm) as room:
        assert room.parent == memory.home(shm) == shm / f"user-{os.geteuid()}"
        assert room.parent.stat().st_mode & 0o777 == 0o700
        memory.leave(shm)
        assert room.is_dir()
    memory.leave(shm)
    assert not room.parent.exists()


def test_a_base_of_our_own_is_left_as_it_is(memory_dir: Path) -> None:
    with memory.room(memory_dir):
        pass
    memory.leave(memory_dir)
    memory.leave(memory_dir / "none")
    assert list(memory_dir.iterdir()) == []


def test_a_base_that_is_open_to_others_is_refused_and_nothing_is_made_in_it(memory_dir: Path) -> None:
    memory_dir.chmod(0o755)
    assert refused(lambda: enter(memory_dir)) is faults.MEMORY_SHARED
    assert list(memory_dir.iterdir()) == []


@needs_another_user
def test_a_base_that_another_user_made_is_refused_and_nothing_he_laid_there_is_touched(
    house: House, as_nobody: Callable[[Callable[[], Any]], Any], tmp_path: Path
) -> None:
    victim, file = tmp_path / "victim", tmp_path / "file"
    victim.mkdir(mode=0o755)
    file.write_bytes(b"as it was")
    base = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108

    def lay_traps() -> None:
        room = base / ("a" * 12)
        room.mkdir(parents=True)
        (room / ".lock").touch()
        (room / "link").symlink_to(victim)
        (base / ".refusal.json").symlink_to(file)

    as_nobody(lay_traps)
    try:
        house = House(house.root, base)
        # The second refusal is one to leave a note of for the server.
        for policy, fault in (("auto", faults.MEMORY_SHARED), ("never", faults.VOLUME_EMPTY)):
            ended = house.run("env", f"KLEIDI_PROVISION={policy}", *KLEIDI, "provision")
            (line,) = ended.stderr.splitlines()
            assert line.startswith(f"kleidi: {fault.id}: ")
            assert ended.returncode == fault.exit != 0
        assert (victim.stat().st_mode & 0o777, file.read_bytes()) == (0o755, b"as it was")
        assert sorted(path.name for path in base.iterdir()) == [".refusal.json", "a" * 12]
        assert not list(house.volume.glob("generation-*"))
    finally:
        shutil.rmtree(base)


@needs_another_user
def test_a_link_that_another_user_put_in_the_bases_place_is_refused(
    as_nobody: Callable[[Callable[[], Any]], Any], memory_dir: Path
) -> None:
    (memory_dir / "ours").mkdir(mode=0o700)
    link = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108
    as_nobody(lambda: link.symlink_to(memory_dir / "ours"))
    try:
        for base in (link, link / "deeper"):
            assert refused(lambda: enter(base)) is faults.MEMORY_SHARED  # noqa: B023  called at once
        link.unlink()
        as_nobody(lambda: link.symlink_to(link))
        assert refused(lambda: enter(link)) is faults.MEMORY_SHARED
    finally:
        link.unlink()
    assert list((memory_dir / "ours").iterdir()) == []


def test_nothing_that_a_link_points_to_is_removed_or_changed(memory_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o755)
    (tmp_path / "kept" / "file").write_bytes(b"kept")
    with memory.room(memory_dir) as room:
        (room / "link").symlink_to(tmp_path / "kept")
        (room / "file").symlink_to(tmp_path / "kept" / "file")
    memory.remove(room)  # gone already
    (memory_dir / "link").symlink_to(tmp_path / "kept")
    memory.remove(memory_dir / "link")
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "kept" / "file").read_bytes() == b"kept"


def test_a_room_that_is_a_link_or_whose_lock_is_none_is_not_swept(memory_dir: Path, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (memory_dir / ("a" * 12)).symlink_to(tmp_path)
    (memory_dir / ("b" * 12)).mkdir()
    (memory_dir / ("b" * 12) / ".lock").symlink_to(tmp_path / ".lock")
    enter(memory_dir)
    assert (tmp_path / ".lock").exists()
    assert sorted(path.name for path in memory_dir.iterdir()) == ["a" * 12, "b" * 12]


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
