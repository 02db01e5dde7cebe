"""What the volume is, is told from what is on it; and adding to it is one step that lasts."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from appliance import faults, regular
from appliance.volume import generations
from appliance.volume.generations import Survey, Volume, VolumeState
from tests.volume.house import House, refused


def survey(house: House) -> Survey:
    return Volume(house.volume).survey()


def commit(volume: Volume, generation: int, sealed: bytes) -> None:
    with volume.lock():
        volume.commit(generation, sealed)


def fill(house: House, *names: str) -> None:
    for name in names:
        (house.volume / name).write_bytes(b"")


def test_nothing_there_is_missing(house: House) -> None:
    house.volume.rmdir()
    assert survey(house).state is VolumeState.MISSING


def test_a_file_in_its_place_is_unreadable(house: House) -> None:
    house.volume.rmdir()
    house.volume.touch()
    assert survey(house).state is VolumeState.UNREADABLE


def test_a_symbolic_link_to_nowhere_is_not_empty(house: House) -> None:
    house.volume.rmdir()
    house.volume.symlink_to(house.root / "nowhere")
    assert survey(house).state is VolumeState.MISSING


def test_a_directory_without_permission_is_unreadable(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    fill(open_house, "generation-00000001.seal")
    open_house.volume.chmod(0o000)
    assert as_nobody(lambda: survey(open_house)).state is VolumeState.UNREADABLE


def test_a_directory_behind_a_closed_door_is_unreadable(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    open_house.root.chmod(0o700)
    closed = as_nobody(lambda: survey(open_house)) if os.geteuid() == 0 else None
    assert closed is None or closed.state is VolumeState.UNREADABLE


def test_a_fresh_directory_is_empty(house: House) -> None:
    assert survey(house) == Survey(VolumeState.EMPTY, mounted=False, writable=True)


@pytest.mark.parametrize("name", ["lost+found", "lock", ".tmp-generation-00000001.seal-0a1b2c3d", "seal.key"])
def test_what_a_filesystem_or_a_crash_leaves_is_still_empty(house: House, name: str) -> None:
    fill(house, name)
    assert survey(house).state is VolumeState.EMPTY


@pytest.mark.parametrize(
    "name",
    [
        "tokens",
        "notes.txt",
        ".hidden",
        "generation-1.seal",
        "generation-00000001.seal.bak",
        "generation-00000001.SEAL",
        "generation-00000001.seal\n",
        "generation-٠٠٠٠٠٠٠١.seal",  # noqa: RUF001
        "LOCK",
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_a_stray_file_makes_it_foreign(house: House, name: str, *, sealed: bool) -> None:
    fill(house, name, *(["generation-00000001.seal"] if sealed else []))
    seen = survey(house)
    assert seen.state is VolumeState.FOREIGN
    assert len(seen.strangers) == 1
    assert seen.strangers[0].isprintable()


def test_a_name_of_any_bytes_is_told_in_one_line(house: House) -> None:
    (Path(os.fsdecode(bytes(house.volume) + b"/\xff\n\x1b[31m"))).touch()
    (stranger,) = survey(house).strangers
    assert stranger.isascii()
    assert stranger.isprintable()


def test_the_highest_generation_counts_whatever_is_missing_below(house: House) -> None:
    fill(house, "generation-00000002.seal", "generation-00000011.seal", "generation-00000009.seal")
    seen = survey(house)
    assert (seen.state, seen.newest) == (VolumeState.SEALED, 11)


def test_generation_zero_is_not_empty(house: House) -> None:
    fill(house, "generation-00000000.seal")
    assert survey(house).state is VolumeState.SEALED


def test_a_mount_point_is_one() -> None:
    assert Volume(Path("/dev/shm")).survey().mounted  # noqa: S108
    assert Volume(Path("/proc")).survey().mounted


def test_a_volume_that_cannot_be_written_says_so(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    open_house.volume.chmod(0o555)
    volume = Volume(open_house.volume)
    seen = as_nobody(volume.survey)
    assert (seen.state, seen.writable) == (VolumeState.EMPTY, False)
    assert as_nobody(lambda: refused(lambda: commit(volume, 1, b"x")).id) == faults.VOLUME_READ_ONLY.id


def test_looking_touches_nothing(house: House) -> None:
    fill(house, "notes.txt", ".tmp-x", "generation-00000001.seal")
    before = house.snapshot(), house.volume.stat().st_mtime_ns
    survey(house)
    assert (house.snapshot(), house.volume.stat().st_mtime_ns) == before


def test_a_commit_is_there_whole_and_read_only(house: House) -> None:
    volume = Volume(house.volume)
    commit(volume, 1, b"sealed")
    assert volume.read(1) == b"sealed"
    assert house.generation.stat().st_mode & 0o777 == 0o400
    assert {path.name for path in house.volume.iterdir()} == {"generation-00000001.seal", "lock"}


def test_a_commit_never_overwrites(house: House) -> None:
    volume = Volume(house.volume)
    commit(volume, 1, b"first")
    assert refused(lambda: commit(volume, 1, b"second")) is faults.VOLUME_FOREIGN
    assert volume.read(1) == b"first"


def test_a_commit_that_reads_back_changed_is_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "read", lambda *_, **__: b"something else")
    assert refused(lambda: commit(Volume(house.volume), 1, b"sealed")) is faults.VOLUME_UNREADABLE
    assert [path.name for path in house.volume.iterdir()] == ["lock"]


@pytest.mark.parametrize("place", ["missing", "directory", "dangling"])
def test_a_generation_that_cannot_be_read_is_unreadable(house: House, place: str) -> None:
    if place == "directory":
        house.generation.mkdir()
    if place == "dangling":
        house.generation.symlink_to("nowhere")
    assert refused(lambda: Volume(house.volume).read(1)) is faults.VOLUME_UNREADABLE


def test_numbers_have_eight_digits() -> None:
    assert generations.Volume(Path("/v")).file(12) == Path("/v/generation-00000012.seal")


def test_who_look_at_once_each_see_all_of_it(house: House) -> None:
    """The server's watch looks while a change does, both with the lock that is held."""
    fill(house, *(f"generation-{number:08}.seal" for number in range(1, 41)))
    volume = Volume(house.volume)
    with volume.lock(), ThreadPoolExecutor(4) as threads:
        seen = threads.map(lambda _: volume.survey(), range(2000))
        assert {(each.state, each.newest) for each in seen} == {(VolumeState.SEALED, 40)}
