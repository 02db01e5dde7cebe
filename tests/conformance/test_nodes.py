"""Three control-plane nodes on one etcd, their whole life long, with Secrets written and read on each.

Their seals lie beside a key on the volume, or open by a TPM each, which goes with its machine.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyrage
import pytest

from tests.conformance.cluster import POLL_SECONDS, Load, Node
from tests.conformance.stage import Stage
from tests.rig import Appliance
from tests.tpm.chip import Chip

pytestmark = pytest.mark.slow

RECOVERY_SECONDS = 180

Machine = Callable[[str, str], Node]


@pytest.fixture(params=["volume", "tpm"])
def machine(
    request: pytest.FixtureRequest, make_appliance: Callable[..., Appliance], tmp_path: Path
) -> Iterator[Machine]:
    """A new one, by its name and what it does about keys; running."""
    with ExitStack() as exits:

        def make(name: str, provision: str) -> Node:
            settings = _chip(exits, tmp_path / name) if request.param == "tpm" else {}
            node = Node(name, make_appliance(provision, **settings), tmp_path)
            node.appliance.start()
            return node

        yield make


def _chip(exits: ExitStack, directory: Path) -> dict[str, str]:
    """What a machine's own TPM and a safe need of the settings."""
    (directory / "chip").mkdir(parents=True)
    chip = exits.enter_context(Chip(directory / "chip"))
    recovery = str(pyrage.x25519.Identity.generate().to_public())
    key = str(directory / "etc" / "seal.key")
    (directory / "etc").mkdir()
    return {"slot": "tpm", "tpm": f"unix://{chip.path}", "recovery": recovery, "seal_key_file": key}


@pytest.fixture
def nodes(machine: Machine) -> list[Node]:
    """The first has keys, two wait for them."""
    policies = {"one": "auto", "two": "join", "three": "join"}
    found = [machine(name, provision) for name, provision in policies.items()]
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
    machine: Machine,
) -> None:
    one, two, three = nodes
    join(stage, nodes, load)
    rotate(nodes, load)

    lose(three, load)
    four = machine("four", "join")
    four.join(two)
    four.serve(stage)
    load.begin(four)

    restore(two, load, tmp_path)
    two.serve(stage)
    load.begin(two)
    load.go_on(lambda: any(name.startswith("two-") for name in list(load.written)[-20:]), RECOVERY_SECONDS)

    for node in (one, four):
        node.appliance.reboot()
        node.appliance.wait_ready()
    up = (one, two, four)
    load.end(*up)
    assert len({node.keyset for node in up}) == 1
    kinds = [
        [each["kind"] for each in json.loads(node.do("slot", "list", "-o", "json"))["slots"]] for node in up
    ]
    assert kinds in ([["volume"]] * 3, [["tpm", "recovery"]] * 3)
    print(f"{len(load.written)} written, {load.reads} read, none failed")
    # What was written anywhere is read everywhere, also by servers with nothing cached.
    for node in up:
        assert node.api.secrets().items() >= load.written.items()
        node.serve(stage)
        assert node.api.secrets().items() >= load.written.items()
