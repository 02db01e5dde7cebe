"""Every verb killed, or refused by the disk, at the steps that touch what lasts; no server runs."""

import dataclasses
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.engine import SoftHsmEngine
from appliance.faults import Exit
from appliance.keys.keyring import Wrapped
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from appliance.volume.audit import AuditLog
from softhsm import Library
from tests.ops.shop import SEED, Node, Shop
from tests.token.foreign_program import PIN, ForeignProgram
from tests.volume.traced import Point, points, require_strace, strace

# Two at a time: more only wait for each other. SoftHSM is one for the whole process.
AT_ONCE = 2
TOKEN = threading.Lock()
KILL = "signal=SIGKILL"
LABEL = "kleidi-kms-plugin"


@dataclass(frozen=True)
class Try:
    """A verb on a volume that is ready for it; *before* is what was announced, *goal* the states after it."""

    node: Node
    command: tuple[str, ...]
    before: tuple[Wrapped, ...]
    goal: tuple[str, ...]

    def copied(self, name: str, memory: Path) -> "Try":
        root = self.node.root.with_name(f"{self.node.root.name}-{name}")
        shutil.copytree(self.node.root, root)
        return dataclasses.replace(self, node=Node(root, memory / secrets.token_hex(4)))


Prepare = Callable[[str], Try]


@pytest.fixture
def prepare(tmp_path: Path, memory_dir: Path) -> Iterator[Prepare]:
    require_strace()
    engine = SoftHsmEngine()

    def ready(verb: str) -> Try:
        node = Node(tmp_path / verb, memory_dir / verb).build()
        shop = Shop(node, engine)
        shop.clocks.unix = 0  # long ago for the command's own clock
        before: list[Wrapped] = [shop.wrap()]
        command: tuple[str, ...] = ("key", verb)
        goal = ("primary", "staged")
        match verb:
            case "promote":
                shop.run(Verb.STAGE)
                command, goal = ("key", verb, "v2"), ("retired", "primary")
            case "rotate":
                goal = ("retired", "primary")
            case "disable" | "destroy":
                shop.run(Verb.ROTATE)
                before.append(shop.wrap())
                command, goal = ("key", verb, "v1", "--stored", "0"), ("disabled", "primary")
            case "adopt":
                command, goal = adoption(tmp_path), ("primary", "retired")
        if verb == "destroy":
            key = shop.run(Verb.DISABLE, "v1", stored=0).key
            command, goal = (*command, "--key-id", key.id), ("destroyed", "primary")
        return Try(node, command, tuple(before), goal)

    yield ready
    engine.close()


def adoption(tmp_path: Path) -> tuple[str, ...]:
    tokens, library = tmp_path / "foreign" / "tokens", Library.find()
    tokens.mkdir(parents=True)
    program = ForeignProgram(library, tokens)
    program.keygen(program.init_token("kleidi"), LABEL)
    library.unload()
    (tmp_path / "pin").write_text(PIN)
    return ("adopt", str(tokens), "--pin-file", str(tmp_path / "pin"))


def steps(attempt: Try) -> list[Point]:
    """What the verb does undisturbed to what lasts."""
    ended, lines = strace(attempt.node, command=attempt.command)
    assert ended.returncode == 0, ended.stderr
    assert states(attempt.node) == attempt.goal
    return points(lines)


def states(node: Node) -> tuple[str, ...]:
    return tuple(str(key.state) for key in node.storage().open().payload.keyset.keys)


def wrong_after(attempt: Try) -> Iterator[str]:
    """What does not hold after a disturbance, and after the same command once more."""
    yield from lost_in(attempt)
    again = attempt.node.kleidi(*attempt.command)
    if again.returncode not in (Exit.OK, Exit.REFUSED):
        yield f"a second run ended with {again.returncode}: {again.stderr}"
    if again.returncode and not re.fullmatch(r"kleidi: E-KEY-[A-Z-]+: .*\n", again.stderr):
        yield f"a second run does not say why not: {again.stderr}"
    # A rotation that was only cut off behind its last commit is another one the second time.
    once_more = ("retired", *attempt.goal) if "rotate" in attempt.command else attempt.goal
    if states(attempt.node) not in (attempt.goal, once_more):
        yield f"a second run came to {states(attempt.node)}"
    # What no server was there to sweep is swept by the next command.
    if left := list(attempt.node.volume.glob(".tmp-*")):
        yield f"left: {left}"
    # One too many waits for the next change, unless a destroyed key is in it.
    if len(list(attempt.node.volume.glob("generation-*"))) > (1 if "destroy" in attempt.command else 4):
        yield "older generations are left"
    AuditLog(attempt.node.volume / "audit.jsonl").verify()
    yield from lost_in(attempt)


def lost_in(attempt: Try) -> Iterator[str]:
    """Which id that was announced does not open any more, as the server would open it."""
    node = attempt.node
    with TOKEN:
        shop, engine = Shop.__new__(Shop), SoftHsmEngine()
        shop.house, shop.engine, shop.storage = node, engine, node.storage()
        keys = {key.id: key.state for key in shop.keyset.keys}
        with shop.keyring() as ring:
            for each in attempt.before:
                state = keys.get(each.key_id)
                if state in (KeyState.DISABLED, KeyState.DESTROYED):
                    if attempt.command[1] not in ("disable", "destroy"):
                        yield f"{each.key_id} is {state}"
                elif ring.unwrap(each.key_id, each.envelope) != SEED:
                    yield f"{each.key_id} gives something else"


def disturbed(attempt: Try, chosen: list[Point], how: str, memory: Path) -> list[tuple[Point, int, str]]:
    """Each of *chosen* disturbed on a copy of its own: the point, the exit code, what was said."""

    def disturb(point: Point) -> tuple[Point, int, str, str]:
        name = f"{point}-{how}".replace(" ", "-").replace("=", "-")
        own = attempt.copied(name, memory)
        rule = f"inject={point.syscall}:{how}:when={point.number}"
        ended, _ = strace(own.node, "-e", rule, command=own.command)
        return point, ended.returncode, ended.stderr, "; ".join(wrong_after(own))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(disturb, chosen))
    assert not [f"{point}: {wrong}" for point, _, _, wrong in outcomes if wrong]
    return [(point, code, said) for point, code, said, _ in outcomes]


def turning_points(found: list[Point]) -> list[Point]:
    """Where verbs differ: around the log's lines, the commit and what is removed behind it."""
    calls = [point.syscall for point in found]
    chosen = {0, len(found) - 1}
    for place, call in enumerate(calls):
        if call in ("rename", "unlink"):
            chosen |= {place, min(place + 1, len(found) - 1)}
    return [found[place] for place in sorted(chosen)]


def test_a_change_is_written_down_committed_remembered_and_written_down(prepare: Prepare) -> None:
    found = steps(prepare("destroy"))
    calls = " ".join(point.syscall for point in found)
    line, file = "openat write fsync", "openat write fchmod fsync rename fsync"
    assert re.fullmatch(f"(openat )?{line} {file} fsync {file}( unlink)+ {line}", calls)


def test_killed_at_every_step_of_a_promotion_nothing_is_lost(prepare: Prepare, memory_dir: Path) -> None:
    attempt = prepare("promote")
    found = steps(attempt.copied("plain", memory_dir))
    assert {code for _, code, _ in disturbed(attempt, found, KILL, memory_dir)} <= {-9, 128 + 9}


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])  # the first everywhere, the second where it counts
def test_refused_by_the_disk_at_every_step_of_a_promotion_it_says_so(
    prepare: Prepare, memory_dir: Path, error: str
) -> None:
    attempt = prepare("promote")
    found = steps(attempt.copied("plain", memory_dir))
    chosen = found if error == "ENOSPC" else turning_points(found)
    for point, code, said in disturbed(attempt, chosen, f"error={error}", memory_dir):
        if code != 0:
            (line,) = said.splitlines()
            assert re.match(r"kleidi: E-[A-Z-]+: ", line), point
            assert code not in (1, 2), f"{point}: {line}"


@pytest.mark.parametrize("verb", ["stage", "rotate", "disable", "destroy", "adopt"])
def test_killed_at_the_turning_points_of_every_verb_nothing_is_lost(
    prepare: Prepare, memory_dir: Path, verb: str
) -> None:
    attempt = prepare(verb)
    chosen = turning_points(steps(attempt.copied("plain", memory_dir)))
    assert len(chosen) >= 6
    assert {code for _, code, _ in disturbed(attempt, chosen, KILL, memory_dir)} <= {-9, 128 + 9}
