"""Verbs killed, or refused by the disk, at steps that touch what lasts; `make faults` tries every step."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.faults import Exit
from tests.faults.matrix import Outcome, Scene, every_other, turning_points
from tests.faults.traced import Point, tracer, written_paths
from tests.faults.verbs import INSTALLATION, KEPT, KEYS, VERBS
from tests.faults.ways import EIO, ENOSPC, KILL, UNREADABLE, Way
from tests.volume.house import KLEIDI, House

Scenes = Callable[[str], Scene]
WHOLLY = ("provision", "promote", "backup-create")
BY_HALVES = (
    "backup-restore",
    "slot-add-file",
    "slot-remove-file",
    "node-join",
    "node-join-again",
)
# The rest is tried where it differs from those: around renames, and around what is removed. Of what keeps a
# slot's key a chip stands for all: nothing that lasts here is written while one of them is asked.
_FEW = tuple(verb.name for verb in KEPT if verb.keeper != "tpm")
OTHERS = tuple(name for name in VERBS if name not in (*WHOLLY, *BY_HALVES, *_FEW))


def held(outcomes: list[Outcome], at_least: int) -> list[Outcome]:
    assert not [f"{outcome.point}: {outcome.trouble}" for outcome in outcomes if outcome.trouble]
    assert len(outcomes) >= at_least
    return outcomes


@pytest.mark.parametrize("way", [KILL, ENOSPC], ids=lambda way: way.name)
@pytest.mark.parametrize("verb", WHOLLY)
def test_disturbed_at_every_step_nothing_is_lost_and_a_second_run_ends_it(
    scene: Scenes, verb: str, way: Way
) -> None:
    outcomes = held(scene(verb).sweep(way), at_least=10)
    assert not {outcome.ended.code for outcome in outcomes} & {Exit.ERROR, Exit.USAGE}


@pytest.mark.parametrize("way", [KILL, ENOSPC], ids=lambda way: way.name)
@pytest.mark.parametrize("verb", BY_HALVES)
def test_disturbed_at_every_other_step_nothing_is_lost(scene: Scenes, verb: str, way: Way) -> None:
    there = scene(verb)
    outcomes = held(there.sweep(way, every_other(there.points(way))), at_least=10)
    assert not {outcome.ended.code for outcome in outcomes} & {Exit.ERROR, Exit.USAGE}


@pytest.mark.parametrize("verb", OTHERS)
def test_killed_at_the_turning_points_of_every_verb_nothing_is_lost(scene: Scenes, verb: str) -> None:
    there = scene(verb)
    held(there.sweep(KILL, turning_points(there.points(KILL))), at_least=6 if VERBS[verb] in KEYS else 3)


def test_a_promotion_on_a_disk_that_fails_where_it_counts_says_so(scene: Scenes) -> None:
    there = scene("promote")
    outcomes = held(there.sweep(EIO, turning_points(there.points(EIO))), at_least=6)
    assert not {outcome.ended.code for outcome in outcomes} & {Exit.ERROR, Exit.USAGE}


def test_a_first_boot_says_what_a_failing_disk_kept_it_from(scene: Scenes) -> None:
    there = scene("provision")
    steps = there.points(EIO)
    for outcome in held(there.sweep(EIO), at_least=25):
        if outcome.ended.code == Exit.OK:
            # Done, but for what is remembered outside the volume or the log's last line, and that must be
            # said. Or it was the one fsync too many: the volume's directory once more, in case an earlier
            # run was cut off before it.
            again = steps[steps.index(outcome.point) - 1].act == outcome.point.act == "fsync"
            told = ("E-ANCHOR-UNWRITABLE", "it is done, but the audit log does not say so")
            assert again or any(words in outcome.ended.said for words in told), outcome
        else:
            assert outcome.ended.code not in (Exit.ERROR, Exit.USAGE)


def test_a_first_boot_that_is_done_is_not_told_as_failed_when_the_disk_can_not_be_read(scene: Scenes) -> None:
    there = scene("provision")
    held(there.sweep(UNREADABLE, every_other(there.points(UNREADABLE))), at_least=20)


# ---- the order of things


def acts(points: list[Point]) -> list[str]:
    return [point.act for point in points]


def test_a_first_boot_has_the_steps_that_it_should(scene: Scenes) -> None:
    kinds = acts(scene("provision").points(KILL))
    # Lock, seal key, log, generation, anchor, mark; the log never takes another's place.
    assert kinds.count("create") == 6
    assert kinds.count("rename") == 4
    assert kinds.count("link") == 1
    assert kinds.count("fsync") >= 8
    assert len(kinds) >= 25


@pytest.mark.parametrize("verb", [name for name in VERBS if VERBS[name] not in INSTALLATION])
def test_what_takes_effect_comes_after_its_files_fsync_and_before_its_directorys(
    scene: Scenes, verb: str
) -> None:
    calls = acts(scene(verb).points(KILL))
    for place in [place for place, call in enumerate(calls) if call in ("rename", "link")]:
        assert calls[place - 4 : place] == ["create", "write", "chmod", "fsync"]
        # What was linked to its place still has its first name.
        assert calls[place + 1 :][: 2 if calls[place] == "link" else 1][-1] == "fsync"


def test_the_seal_key_lasts_before_the_seal_and_the_seal_before_the_anchor(scene: Scenes) -> None:
    renamed = [point.names[1] for point in scene("provision").points(KILL) if point.act == "rename"]
    assert renamed == ["seal.key", "generation-00000001.seal", "anchor.json", "seal.key.used"]


def test_a_change_is_written_down_committed_remembered_and_written_down(scene: Scenes) -> None:
    line, file = "write fsync", "create write chmod fsync rename fsync"
    calls = " ".join(acts(scene("destroy").points(KILL)))
    assert re.fullmatch(f"(create )?{line} {file} fsync {file}( unlink)+ {line}", calls)


def test_a_first_boot_writes_nowhere_but_to_volume_custody_and_memory(house: House) -> None:
    """The plain command, in no warm process."""
    output = house.root / "strace"
    ended = house.run(*tracer(output), *KLEIDI, "provision")
    assert ended.returncode == 0, ended.stderr
    allowed = (house.volume, house.etc, house.memory)
    written = written_paths(output.read_text().splitlines())
    outside = {path for path in written if not any(path.is_relative_to(place) for place in allowed)}
    # A relative name of softhsm's or Python's would be outside too.
    assert outside <= {Path("/dev/null"), Path("/dev/tty")}
