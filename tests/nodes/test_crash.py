"""A join killed, or refused by the disk, at the steps that touch what lasts: a second one ends it."""

import re
import secrets
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.backup.age import Identities
from appliance.engine import SoftHsmEngine
from appliance.ops.operations import Verb
from tests.nodes.member import Founder
from tests.volume.house import House
from tests.volume.traced import Point, points, require_strace, strace

# Two at a time: more only wait for each other.
AT_ONCE = 2
EVERY = 2
KILL = "signal=SIGKILL"


class Node(House):
    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"KLEIDI_PROVISION": "join"}


@dataclass(frozen=True)
class Scene:
    """What is brought, first ones and newer ones, and a node that has taken the first."""

    directory: Path
    memory: Path
    first: tuple[str, ...]
    newer: tuple[str, ...]
    keysets: tuple[str, str]

    def node(self, name: str, *, joined: bool) -> Node:
        node = Node(self.directory / name, self.memory / secrets.token_hex(4))
        if joined:
            shutil.copytree(self.directory / "joined", node.root)
        else:
            node.build()
        return node


@pytest.fixture
def scene(tmp_path: Path, memory_dir: Path, build: Callable[[str], House]) -> Scene:
    require_strace()
    engine = SoftHsmEngine()
    founder = Founder(build("founder"), engine)
    identities = Identities.generate()
    (tmp_path / "identity").write_text("\n".join(identities.secrets))
    recipient = identities.recipients.names[0]
    bundles, keysets = [], []
    for number in range(2):
        path = tmp_path / f"{number}.age"
        path.write_bytes(founder.export(recipient))
        bundles.append((sys.executable, "-m", "tests.nodes.program", str(path), str(tmp_path / "identity")))
        keysets.append(founder.keyset.hash)
        if number == 0:
            founder.run(Verb.STAGE)
    engine.close()
    scene = Scene(tmp_path, memory_dir, bundles[0], bundles[1], (keysets[0], keysets[1]))
    joined = scene.node("joined", joined=False)
    assert joined.run(*scene.first).returncode == 0
    return scene


def disturbed(scene: Scene, point: Point, how: str, *, joined: bool) -> tuple[Point, int, str, str]:
    node = scene.node(f"{how}-{point}-{joined}".replace(" ", "-").replace("=", "-"), joined=joined)
    command = scene.newer if joined else scene.first
    rule = f"inject={point.syscall}:{how}:when={point.number}"
    ended, _ = strace(node, "-e", rule, program=command)
    return point, ended.returncode, ended.stderr, wrong_after(scene, node, command, joined=joined)


def wrong_after(scene: Scene, node: Node, command: tuple[str, ...], *, joined: bool) -> str:
    known = {*scene.keysets} if joined else {scene.keysets[0]}
    if joined and node.storage().open().payload.keyset.hash not in known:
        return "the keys are others at once"
    again = node.run(*command)
    if again.returncode != 0:
        return f"a second run ended with {again.returncode}: {again.stderr}"
    opened = node.storage().open()
    if opened.warnings or opened.payload.keyset.hash != scene.keysets[joined]:
        return f"a second run came to {opened.payload.keyset.hash}, {opened.warnings}"
    if not opened.payload.shared:
        return "it would go ahead alone"
    if left := [*node.volume.glob(".tmp-*"), *node.etc.glob(".tmp-*")]:
        return f"left: {left}"
    audited = node.kleidi("audit", "verify")
    return audited.stderr if audited.returncode else ""


def steps(scene: Scene, *, joined: bool) -> list[Point]:
    ended, lines = strace(
        scene.node(f"plain-{joined}", joined=joined), program=scene.newer if joined else scene.first
    )
    assert ended.returncode == 0, ended.stderr
    return points(lines)


@pytest.mark.parametrize("joined", [False, True], ids=["an empty node", "a node with keys"])
@pytest.mark.parametrize("how", [KILL, "error=ENOSPC"])
def test_disturbed_at_every_other_step_a_second_join_completes(
    scene: Scene, how: str, *, joined: bool
) -> None:
    found = steps(scene, joined=joined)
    chosen = sorted(
        {*found[::EVERY], *(point for point in found if point.syscall == "rename")}, key=found.index
    )
    assert len(chosen) >= 10
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda point: disturbed(scene, point, how, joined=joined), chosen))
    assert not [f"{point}: {wrong}" for point, _, _, wrong in outcomes if wrong]
    for point, code, said, _ in outcomes:
        if how == KILL:
            assert code in (-9, 128 + 9)
        elif code != 0:
            (line,) = said.splitlines()
            assert re.match(r"kleidi: E-[A-Z-]+: ", line), point
