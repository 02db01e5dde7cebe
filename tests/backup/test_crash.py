"""Killed, or refused by the disk, at every single step of making a bundle and of restoring from one."""

import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from appliance.backup.age import Identities
from appliance.backup.bundle import hand_out, make, open_bundle
from appliance.backup.restore import Restorer
from appliance.backup.shelf import put
from appliance.faults import RESTORE_NOT_EMPTY
from appliance.provision.plan import Policy
from appliance.volume.audit import AuditLog
from tests.volume.house import House, refused
from tests.volume.test_crash import AT_ONCE, SIGKILL
from tests.volume.traced import MUTATING, SUFFIX, Point, points, require_strace

_SCRIPT = f"""
import secrets, sys
draw = secrets.token_hex
secrets.token_hex = lambda size=None: {SUFFIX!r} if size == 4 else draw(size)
sys.argv[0] = "kleidi"
from appliance.__main__ import main
main()
"""
# Remembering outside the volume, and on it that a backup was verified, may fail with a word.
_SAID_ONLY = ("E-ANCHOR-UNWRITABLE", "not recorded")

Houses = Callable[[object], House]


@pytest.fixture(autouse=True)
def _strace() -> None:
    require_strace()


@pytest.fixture
def houses(tmp_path: Path, memory_dir: Path) -> Houses:
    def build(name: object) -> House:
        place = str(name).replace(" ", "-")
        return House(tmp_path / place, memory_dir / place).build()

    return build


@dataclass(frozen=True)
class Verb:
    """A command with its *arguments*; *prepare* sets the scene, *judge* tells what is wrong afterwards."""

    arguments: Callable[[House], list[str]]
    prepare: Callable[[House], None]
    judge: Callable[[House], str]


@dataclass(frozen=True)
class Outcome:
    point: Point
    code: int
    said: str
    wrong: str


def traced(house: House, verb: Verb, *options: str) -> tuple[int, str, list[str]]:
    """Run it once; its exit code, what it said, and the calls that touched what lasts."""
    files = [house.volume / name for name in ("lock", "audit.jsonl", "verified.json")]
    files += [house.generation, house.seal_key, house.anchor, house.etc / "seal.key.used", bundle_of(house)]
    scratch = [path.with_name(f".tmp-{path.name}-{SUFFIX}") for path in files]
    paths = [house.volume, house.etc, house.root, *files, *scratch]
    lasting = [argument for path in paths for argument in ("-P", str(path))]
    output = house.root.parent / f"{house.root.name}.strace"
    command = ["strace", "-f", "-qq", "-s", "16", "-o", str(output), "-e", f"trace={MUTATING}"]
    program = [sys.executable, "-c", _SCRIPT, *verb.arguments(house)]
    ended = house.run(*command, *options, *lasting, *program)
    return ended.returncode, ended.stdout + ended.stderr, output.read_text().splitlines()


def bundle_of(house: House) -> Path:
    return house.root / "bundle.age"


def matrix(houses: Houses, verb: Verb, how: str) -> list[Outcome]:
    def disturb(point: Point) -> Outcome:
        house = houses(point)
        verb.prepare(house)
        code, said, _ = traced(house, verb, "-e", f"inject={point.syscall}:{how}:when={point.number}")
        return Outcome(point, code, said, verb.judge(house))

    plain = houses("plain")
    verb.prepare(plain)
    code, said, lines = traced(plain, verb)
    assert code == 0, said
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(disturb, points(lines)))
    assert not [f"{outcome.point}: {outcome.wrong}" for outcome in outcomes if outcome.wrong]
    assert len(outcomes) >= 10
    return outcomes


def check_refusals(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.code != 0 and not any(word in outcome.said for word in _SAID_ONLY):
            (line,) = [line for line in outcome.said.splitlines() if line.startswith("kleidi: ")]
            assert re.match(r"kleidi: E-[A-Z-]+: ", line), outcome
            assert outcome.code != 1, outcome


@pytest.fixture
def creating(identity: Identities) -> Verb:
    def prepare(house: House) -> None:
        house.provisioner().run()

    def judge(house: House) -> str:
        opened = house.storage().open()
        file = bundle_of(house)
        if file.exists() and open_bundle(file.read_bytes(), identity)[1].keyset != opened.payload.keyset:
            return "a bundle that is not whole"
        AuditLog(house.volume / "audit.jsonl").verify()
        data = hand_out(opened, identity.recipients, house.storage(), {}, dry_run=False)
        put(file.with_name("again.age"), data)
        return ""

    (recipient,) = identity.recipients.names
    return Verb(lambda house: ["backup", "create", str(bundle_of(house)), "--to", recipient], prepare, judge)


@pytest.fixture
def restoring(identity: Identities, houses: Houses) -> Verb:
    origin = houses("origin")
    assert origin.kleidi("provision").returncode == 0
    there = origin.storage().open()
    data = make(there.payload, there.header, identity.recipients)

    def command(house: House) -> list[str]:
        return ["backup", "restore", str(bundle_of(house)), "--identity", str(house.root / "identity")]

    def prepare(house: House) -> None:
        bundle_of(house).write_bytes(data)
        (house.root / "identity").write_text(identity.secrets[0])

    def judge(house: House) -> str:
        committed = house.generation.read_bytes() if house.generation.exists() else None
        restorer = Restorer(house.committer(), allow_unmounted=True)
        again = partial(restorer.run, there.header, there.payload, source="", dry_run=False)
        if committed is None:
            again()
        elif refused(again) is not RESTORE_NOT_EMPTY or house.generation.read_bytes() != committed:
            return "the next run did not see that it is done"
        opened = house.storage().open()
        if opened.payload.token != there.payload.token or opened.header.lineage != there.header.lineage:
            return "other keys"
        AuditLog(house.volume / "audit.jsonl").verify()
        # What the next opening does anyway: sweep, remember.
        house.provisioner(policy=Policy.NEVER).run()
        left = {path.name for path in (*house.volume.iterdir(), *house.etc.iterdir())} - {"verified.json"}
        expected = {"lock", "audit.jsonl", "generation-00000001.seal", "seal.key", "seal.key.used"}
        whole = left == {*expected, "anchor.json"}
        return "" if whole else f"left {sorted(left)}"

    return Verb(command, prepare, judge)


@pytest.mark.parametrize("name", ["creating", "restoring"])
def test_killed_at_every_step_nothing_is_half_and_a_second_run_completes(
    houses: Houses, request: pytest.FixtureRequest, name: str
) -> None:
    outcomes = matrix(houses, request.getfixturevalue(name), "signal=SIGKILL")
    assert {outcome.code for outcome in outcomes} <= {SIGKILL, 128 + 9}


@pytest.mark.parametrize("name", ["creating", "restoring"])
def test_refused_by_the_disk_at_every_step_it_says_so_and_a_second_run_completes(
    houses: Houses, request: pytest.FixtureRequest, name: str
) -> None:
    check_refusals(matrix(houses, request.getfixturevalue(name), "error=ENOSPC"))
