"""Slots added and removed while a kill, or the disk, gets in between: at the steps that touch what lasts."""

import re
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.engine import SoftHsmEngine
from appliance.faults import Exit
from appliance.keys.keyset import KeySet
from appliance.slots.survey import rows
from appliance.volume.custody import Custody
from appliance.volume.payload import Payload
from appliance.volume.seal import unseal
from tests.slots.smithy import Smithy
from tests.volume.house import House
from tests.volume.traced import Point, points, require_strace, strace

AT_ONCE = 2
EVERY = 2
KILL = "signal=SIGKILL"


class Node(House):
    """A house whose command finds no server."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"KLEIDI_ADMIN_SOCKET": f"{self.memory}/none/admin.sock"}


@dataclass(frozen=True)
class Try:
    node: Node
    key: Path
    command: tuple[str, ...]
    goal: list[str]
    keyset: KeySet

    def copied(self, name: str, memory: Path) -> "Try":
        root = self.node.root.with_name(f"{self.node.root.name}-{name}")
        shutil.copytree(self.node.root, root)
        node = Node(root, memory / secrets.token_hex(4))
        return Try(node, self.key, self.command, self.goal, self.keyset)


@pytest.fixture(params=["add", "remove"])
def attempt(request: pytest.FixtureRequest, tmp_path: Path, memory_dir: Path) -> Try:
    require_strace()
    node, engine = Node(tmp_path / "house", memory_dir / "house").build(), SoftHsmEngine()
    smithy = Smithy(node, engine)
    engine.close()
    key = tmp_path / "second.key"
    if request.param == "remove":
        smithy.add_file(key)
        return Try(node, key, ("slot", "remove", "second"), ["file"], smithy.keyset)
    Custody("file", key).create()
    command = ("slot", "add", "--kind", "file", "--key-file", str(key), "--name", "second")
    return Try(node, key, command, ["file", "second"], smithy.keyset)


def names(node: Node) -> list[str]:
    return [row.name for row in rows(node.storage())]


def wrong_after(attempt: Try) -> str:
    node = attempt.node
    if node.storage().open().payload.keyset != attempt.keyset:
        return "the keys are others at once"
    again = node.kleidi(*attempt.command)
    if again.returncode and not re.fullmatch(r"kleidi: E-SLOT-(NAME|NO-SUCH): .*\n", again.stderr):
        return f"a second run ended with {again.returncode}: {again.stderr}"
    opened = node.storage().open()
    if opened.payload.keyset != attempt.keyset or names(node) != attempt.goal:
        return f"a second run came to {names(node)}"
    newest = node.storage().volume.read(opened.header.generation)
    if "second" in attempt.goal:
        second = Custody("file", attempt.key).load()
        if Payload.from_bytes(unseal(newest, [second])[1]) != opened.payload:
            return "the new slot does not open it"
    if left := list(node.volume.glob(".tmp-*")):
        return f"left: {left}"
    audited = node.kleidi("audit", "verify")
    return audited.stderr if audited.returncode else ""


def disturb(attempt: Try, point: Point, how: str, memory: Path) -> tuple[Point, int, str, str]:
    own = attempt.copied(f"{point}-{how}".replace(" ", "-").replace("=", "-"), memory)
    rule = f"inject={point.syscall}:{how}:when={point.number}"
    ended, _ = strace(own.node, "-e", rule, command=own.command)
    return point, ended.returncode, ended.stderr, wrong_after(own)


@pytest.mark.parametrize("how", [KILL, "error=ENOSPC"])
def test_disturbed_at_every_other_step_nothing_is_lost(attempt: Try, memory_dir: Path, how: str) -> None:
    ended, lines = strace(attempt.copied("plain", memory_dir).node, command=attempt.command)
    assert ended.returncode == 0, ended.stderr
    found = points(lines)
    chosen = sorted(
        {*found[::EVERY], *(point for point in found if point.syscall in ("rename", "unlink"))},
        key=found.index,
    )
    assert len(chosen) >= 8
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda point: disturb(attempt, point, how, memory_dir), chosen))
    assert not [f"{point}: {wrong}" for point, _, _, wrong in outcomes if wrong]
    for point, code, said, _ in outcomes:
        if how == KILL:
            assert code in (-9, 128 + 9)
        elif code != 0:
            (line,) = said.splitlines()
            assert re.match(r"kleidi: E-[A-Z-]+: ", line), point
            assert code not in (Exit.ERROR, Exit.USAGE), f"{point}: {line}"
