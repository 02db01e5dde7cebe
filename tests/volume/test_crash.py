"""Killed, or refused by the disk, at every single step that touches what lasts."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.volume.house import House
from tests.volume.traced import Point, points, require_strace, strace, written_paths

SIGKILL = -9
# Two at a time: more only wait for each other, and a step must not run out of its time.
AT_ONCE = 2


@pytest.fixture(autouse=True)
def _strace() -> None:
    require_strace()


@pytest.fixture
def houses(tmp_path: Path, memory_dir: Path) -> Callable[[object], House]:
    """A house of its own for everything that is tried."""

    def build(name: object) -> House:
        place = str(name).replace(" ", "-")
        return House(tmp_path / place, memory_dir / place).build()

    return build


@pytest.fixture
def steps(houses: Callable[[object], House]) -> list[Point]:
    """What an undisturbed first boot does to what lasts."""
    ended, lines = strace(houses("plain"))
    assert ended.returncode == 0, ended.stderr
    return points(lines)


@dataclass(frozen=True)
class Outcome:
    """What one disturbed first boot and the runs after it came to."""

    point: Point
    code: int
    said: str
    wrong: str


def committed(house: House) -> bytes | None:
    return house.generation.read_bytes() if house.generation.exists() else None


def disturb(house: House, point: Point, how: str) -> Outcome:
    rule = f"inject={point.syscall}:{how}:when={point.number}"
    ended, _ = strace(house, "-e", rule)
    first = committed(house)
    return Outcome(point, ended.returncode, ended.stderr, aftermath(house, first))


def aftermath(house: House, first: bytes | None) -> str:
    """Run plainly, twice. Nothing must be lost, left over or made a second time."""
    second = house.kleidi("provision")
    if second.returncode != 0:
        return f"the next run ended with {second.returncode}: {second.stderr}"
    if first is not None and committed(house) != first:
        return "a committed generation did not survive"
    left = {path.name for directory in (house.volume, house.etc) for path in directory.iterdir()}
    if left != {"lock", "generation-00000001.seal", "seal.key", "seal.key.used", "anchor.json"}:
        return f"left: {sorted(left)}"
    before = house.snapshot()
    opened = house.storage().open()
    if opened.warnings or opened.header.lineage not in house.anchor.read_text():
        return f"opened with {opened.warnings}"
    third = house.kleidi("provision")
    if third.returncode != 0 or house.snapshot() != before:
        return f"a third run changed something: {third.stderr}"
    return ""


def matrix(houses: Callable[[object], House], steps: list[Point], how: str) -> list[Outcome]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda point: disturb(houses(point), point, how), steps))
    assert not [outcome for outcome in outcomes if outcome.wrong], [
        f"{outcome.point}: {outcome.wrong}" for outcome in outcomes if outcome.wrong
    ]
    return outcomes


def test_a_first_boot_has_the_steps_that_it_should(steps: list[Point]) -> None:
    kinds = [point.syscall for point in steps]
    # Lock, seal key, generation, anchor, mark.
    assert kinds.count("openat") == 5
    assert kinds.count("rename") == 4
    assert kinds.count("fsync") >= 8
    assert len(steps) >= 25


def test_every_rename_comes_after_its_files_fsync_and_before_its_directorys(steps: list[Point]) -> None:
    calls = [point.syscall for point in steps]
    assert calls.count("rename") == 4
    for place in [place for place, call in enumerate(calls) if call == "rename"]:
        before, after = calls[:place], calls[place + 1 :]
        created = max(number for number, call in enumerate(before) if call == "openat")
        assert calls[created:place] == ["openat", "write", "fchmod", "fsync"]
        assert after[0] == "fsync"


def test_the_seal_key_lasts_before_the_seal_and_the_seal_before_the_anchor(steps: list[Point]) -> None:
    renamed = [re.findall(r'"([^"]*)"', point.text)[1] for point in steps if point.syscall == "rename"]
    assert [Path(path).name for path in renamed] == [
        "seal.key",
        "generation-00000001.seal",
        "anchor.json",
        "seal.key.used",
    ]


def test_killed_at_every_step_the_next_run_completes_and_nothing_is_lost(
    houses: Callable[[object], House], steps: list[Point]
) -> None:
    outcomes = matrix(houses, steps, "signal=SIGKILL")
    assert {outcome.code for outcome in outcomes} <= {SIGKILL, 128 + 9}


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_refused_by_the_disk_at_every_step_it_says_so_and_the_next_run_completes(
    houses: Callable[[object], House], steps: list[Point], error: str
) -> None:
    for outcome in matrix(houses, steps, f"error={error}"):
        if outcome.code == 0:
            # Done, but for what is remembered outside the volume; that must be said. Or it was the one
            # fsync too many: the volume's directory once more, in case an earlier run was cut off before it.
            again = steps[steps.index(outcome.point) - 1].syscall == outcome.point.syscall == "fsync"
            assert again or "E-ANCHOR-UNWRITABLE" in outcome.said, outcome
        else:
            (line,) = outcome.said.splitlines()
            assert re.match(r"kleidi: E-[A-Z-]+: ", line), outcome
            assert outcome.code != 1, outcome


def test_the_command_writes_nowhere_but_to_volume_custody_and_memory(
    houses: Callable[[object], House],
) -> None:
    house = houses("written")
    outside = {
        path
        for path in written_paths(house)
        if not any(path.is_relative_to(allowed) for allowed in (house.volume, house.etc, house.memory))
    }
    # A relative name of softhsm's or Python's would be outside too.
    assert outside <= {Path("/dev/null"), Path("/dev/tty")}
