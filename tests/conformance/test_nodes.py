"""Three control-plane nodes on one etcd, their whole life long, with Secrets written and read on each."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest

from tests.conformance.cluster import POLL_SECONDS, Load, Node
from tests.conformance.stage import Stage
from tests.rig import Appliance

pytestmark = pytest.mark.slow

RECOVERY_SECONDS = 180


@pytest.fixture
def nodes(make_appliance: Callable[..., Appliance], tmp_path: Path) -> list[Node]:
    """The first has keys, two wait for them."""
    policies = {"one": "auto", "two": "join", "three": "join"}
    found = [Node(name, make_appliance(provision), tmp_path) for name, provision in policies.items()]
    for node in found:
        node.appliance.start()
    found[0].appliance.wait_ready()
    return found


@pytest.fixture
def load() -> Iterator[Load]:
    load = Load()
    yield load
    load.close()


def writes_with(node: Node, key_id: str) -> bool:
    """Whether the node's API server has taken the key id up."""
    name = f"probe-{node.name}"
    if name in node.api.secrets():
        node.api.delete_secret(name)
    node.api.create_secret(name, name)
    return key_id.encode() in node.api.stored(name)


def join(stage: Stage, nodes: list[Node], load: Load) -> None:
    """Under load on the first node; the others serve by themselves."""
    one, *others = nodes
    first = one.appliance.wait_ready()
    one.serve(stage)
    load.begin(one)
    for node in others:
        node.join(one)
        assert node.appliance.wait_ready() == first
        node.serve(stage)
        load.begin(node)
    assert {node.keyset for node in others} == {one.keyset}


def rotate(nodes: list[Node], load: Load) -> None:
    """Nobody encrypts with a key that another node lacks; who has it may go ahead alone."""
    one, *others = nodes
    first = one.appliance.wait_ready()
    refused = one.appliance.run("key", "rotate")
    assert (refused.returncode, "E-KEYSET-SHARED" in refused.stderr) == (5, True)
    one.do("key", "stage")
    staged = one.keyset
    early = others[0].appliance.run("key", "promote", "v2", "--expect-keyset", staged)
    assert "E-KEYSET-DIFFERS" in early.stderr
    for node in others:
        node.join(one)
        assert node.keyset == staged
    one.do("key", "promote", "v2", "--expect-keyset", staged)
    second = one.appliance.wait_ready()
    assert second != first == others[0].appliance.wait_ready()
    load.go_on(lambda: writes_with(one, second), POLL_SECONDS, one.api.tail)
    for node in others:
        assert node.api.secret("probe-one") == "probe-one"
        node.do("key", "promote", "v2", "--expect-keyset", staged)
    assert {node.keyset for node in others} == {one.keyset}
    for node in others:
        load.go_on(lambda node=node: writes_with(node, second), POLL_SECONDS, node.api.tail)  # type: ignore[misc]


def lose(node: Node, load: Load) -> None:
    """The machine and all that was on it."""
    load.end(node)
    node.api.stop()
    node.appliance.close()
    shutil.rmtree(node.appliance.volume)


def restore(node: Node, load: Load, directory: Path) -> None:
    """It lost its volume, and comes back from a backup of its own."""
    identity = pyrage.x25519.Identity.generate()
    (directory / "identity").write_text(f"{identity}\n")
    bundle = str(directory / "backup.age")
    node.do("backup", "create", bundle, "--to", str(identity.to_public()))
    load.end(node)
    node.api.stop()
    node.appliance.stop()
    shutil.rmtree(node.appliance.volume)
    node.appliance.start()
    node.do("backup", "restore", bundle, "--identity", str(directory / "identity"))
    node.appliance.wait_ready()


def test_join_rotation_loss_and_restore_without_one_failed_call(
    stage: Stage,
    nodes: list[Node],
    load: Load,
    tmp_path: Path,
    make_appliance: Callable[..., Appliance],
) -> None:
    one, two, three = nodes
    join(stage, nodes, load)
    rotate(nodes, load)

    lose(three, load)
    four = Node("four", make_appliance("join"), tmp_path)
    four.appliance.start()
    four.join(two)
    four.serve(stage)
    load.begin(four)

    restore(two, load, tmp_path)
    two.serve(stage)
    load.begin(two)
    load.go_on(lambda: any(name.startswith("two-") for name in list(load.written)[-20:]), RECOVERY_SECONDS)

    up = (one, two, four)
    load.end(*up)
    assert len({node.keyset for node in up}) == 1
    print(f"{len(load.written)} written, {load.reads} read, none failed")
    # What was written anywhere is read everywhere, also by servers with nothing cached.
    for node in up:
        assert node.api.secrets().items() >= load.written.items()
        node.serve(stage)
        assert node.api.secrets().items() >= load.written.items()
