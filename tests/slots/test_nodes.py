"""Nodes whose seals open by what this machine has: one joins another, and one comes back from a bundle."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.age.key_pairs import Identities
from tests.rig import CONFIG, Appliance
from tests.slots import keepers
from tests.slots.test_unsealing import do, eventually

Machine = Callable[[str, str], Appliance]


@pytest.fixture(params=keepers.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def safe() -> Identities:
    return Identities.generate()


@pytest.fixture
def machine(kind: str, safe: Identities, tmp_path: Path) -> Iterator[Machine]:
    """By its name and what it does about keys; running. All have the one keeper, and slots of their own."""
    told = keepers.shared(kind)
    with ExitStack() as exits:

        def make(name: str, provision: str) -> Appliance:
            root = tmp_path / name
            root.mkdir()
            settings = {
                **told,
                "slot": kind,
                "recovery": safe.recipients.names[0],
                "seal_key_file": str(root / "etc" / "seal.key"),
                "provision": provision,
            }
            made = exits.enter_context(Appliance(root, CONFIG, **settings))
            made.start()
            return made

        yield make


def opens_by_itself(node: Appliance, kind: str, key_id: str) -> None:
    """With slots of its own, also after everything that was in memory has gone."""
    assert node.wait_ready() == key_id
    found = [slot["kind"] for slot in json.loads(do(node, "slot", "list", "-o", "json"))["slots"]]
    assert found == [kind, "recovery"]
    assert not (node.root / "etc" / "seal.key").exists()
    node.reboot()
    assert node.wait_ready() == key_id


def test_a_node_joins_and_another_comes_back_from_a_bundle(
    machine: Machine, kind: str, safe: Identities, tmp_path: Path
) -> None:
    one, two = machine("one", "auto"), machine("two", "join")
    key_id = one.wait_ready()
    eventually(two, "UNPROVISIONED", "E-AWAITING-JOIN")
    keys = str(tmp_path / "keys.age")
    do(one, "node", "export", "--to", do(two, "node", "invite").strip(), keys)
    do(two, "node", "join", keys)
    opens_by_itself(two, kind, key_id)

    bundle, identity = str(tmp_path / "bundle.age"), tmp_path / "identity"
    identity.write_text("\n".join(safe.secrets))
    do(two, "backup", "create", bundle, "--to", safe.recipients.names[0])
    three = machine("three", "never")
    eventually(three, "UNPROVISIONED", "E-VOLUME-EMPTY")
    do(three, "backup", "restore", bundle, "--identity", str(identity))
    opens_by_itself(three, kind, key_id)
