"""A volume that is known to be older than what was seen here is served, and never built upon."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.faults import Exit, Fault
from appliance.keys.keyset import KeyState
from appliance.nodes.cluster import Cluster
from appliance.ops.operations import Verb
from appliance.ops.slots import Act, Order, SlotChanges
from appliance.provision.policy import Policy
from appliance.volume.opening import Opened
from tests.ops.shop import Node, Shop, found_token
from tests.volume.house import House, refused

REASON = "the newest volume burnt"


def copied(house: House) -> Path:
    return Path(shutil.copytree(house.volume, house.root / "copy"))


def put_back(house: House, copy: Path) -> None:
    shutil.rmtree(house.volume)
    shutil.copytree(copy, house.volume)


@pytest.fixture
def back(shop: Shop) -> Shop:
    """One generation with v1 on the volume, where v2 was announced: it is known by the anchor alone."""
    copy = copied(shop.house)
    shop.run(Verb.ROTATE)
    put_back(shop.house, copy)
    return shop


def locked(shop: Shop, act: Callable[[Opened], object]) -> Fault:
    def run() -> None:
        with shop.storage.volume.lock():
            act(shop.storage.open())

    before = shop.house.snapshot()
    fault = refused(run)
    assert shop.house.snapshot() == before
    return fault


VERBS = [verb for verb in Verb if verb not in (Verb.ADOPT, Verb.ACCEPT)]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("dry_run", [False, True])
def test_no_verb_builds_upon_it(back: Shop, verb: Verb, dry_run: bool) -> None:
    options = {"force": True, "reason": "meant", "typed": back.key("v1").id, "stored": 0, "dry_run": dry_run}
    assert back.refused(verb, "v1", **options) is faults.VOLUME_OLD


def test_nothing_is_adopted_into_it(back: Shop) -> None:
    before = back.house.snapshot()
    assert refused(lambda: back.adopt(found_token())) is faults.VOLUME_OLD
    assert back.house.snapshot() == before


@pytest.mark.parametrize("act", list(Act))
def test_no_slot_of_it_is_changed(back: Shop, act: Act) -> None:
    order = Order(act, "file", force=True, reason="meant", by="0:1")
    assert locked(back, lambda opened: SlotChanges(back.operations).run(opened, order)) is faults.VOLUME_OLD


def test_no_newer_keys_are_joined_to_it(back: Shop) -> None:
    cluster = Cluster(back.operations, Policy.JOIN, allow_unmounted=True)
    found = locked(back, lambda opened: cluster.update(opened, opened.payload, dry_run=False, by="0:1"))
    assert found is faults.VOLUME_OLD


def test_it_is_not_shared(back: Shop) -> None:
    cluster = Cluster(back.operations, Policy.JOIN, allow_unmounted=True)
    (recipient,) = Identities.generate().recipients.names
    assert locked(back, lambda opened: cluster.export(opened, recipient, "0:1")) is faults.VOLUME_OLD


def accept(shop: Shop) -> None:
    shop.run(Verb.ACCEPT, typed=shop.keyset.lineage, reason=REASON)


def test_what_is_missing_is_named_before_it_is_accepted(back: Shop) -> None:
    anchor = back.storage.anchor.read()
    assert anchor is not None
    (lost,) = set(anchor.keys) - set(back.keyset.ids)
    said = " ".join(back.run(Verb.ACCEPT, dry_run=True).said)
    assert lost in said
    assert "generation 3 was seen here, 1 is the newest" in said


@pytest.mark.parametrize("typed", ["", "0123456789ab"])
def test_it_is_accepted_only_by_the_lineages_name(back: Shop, typed: str) -> None:
    assert back.refused(Verb.ACCEPT, typed=typed, reason=REASON) is faults.ANCHOR_TYPED


def test_there_is_nothing_to_accept_while_nothing_is_missing(shop: Shop) -> None:
    assert shop.refused(Verb.ACCEPT, typed=shop.keyset.lineage, reason=REASON) is faults.ANCHOR_NOTHING


def test_once_accepted_numbers_go_on_above_all_that_was_seen(back: Shop) -> None:
    anchor = back.storage.anchor.read()
    assert anchor is not None
    (lost,) = set(anchor.keys) - set(back.keyset.ids)
    accept(back)
    opened = back.storage.open()
    assert opened.header.generation == 4
    assert opened.warnings == ()
    back.run(Verb.ROTATE)
    assert [(key.name, str(key.state)) for key in back.keyset.keys] == [("v1", "retired"), ("v3", "primary")]
    (loss,) = back.storage.open().payload.losses
    assert (loss.keys, loss.generation, loss.found, loss.reason) == ((lost,), 3, 1, REASON)
    assert loss.unix == back.clocks.unix
    known = back.storage.anchor.read()
    assert known is not None
    assert known == back.storage.open().memory


def test_the_log_names_what_was_lost_and_why(back: Shop) -> None:
    accept(back)
    begun, done = (entry for entry in back.audit.tail(9) if entry["op"] == "anchor-accept")
    assert [begun["phase"], done["phase"]] == ["begin", "done"]
    assert done["reason"] == REASON
    assert len(done["lost"]) == 1


def test_another_generation_of_the_same_number_is_seen(shop: Shop) -> None:
    """Rolled back where nothing remembered it, changed there, and brought home: both have a generation 3."""
    copy = copied(shop.house)
    shop.run(Verb.ROTATE)
    anchor = shop.house.anchor.read_bytes()
    lost = shop.keyset.primary.id
    put_back(shop.house, copy)
    shop.house.anchor.unlink()
    shop.run(Verb.ROTATE)
    shop.house.anchor.write_bytes(anchor)
    opened = shop.storage.open()
    assert opened.header.generation == 3
    assert opened.warnings == (faults.ROLLED_BACK,)
    assert shop.refused(Verb.STAGE) is faults.VOLUME_OLD
    shop.storage.remember(opened)
    assert shop.storage.open().warnings == (faults.ROLLED_BACK,)
    missing = shop.storage.shortfall(opened)
    assert missing is not None
    assert missing.keys == (lost,)


def test_a_higher_number_does_not_hide_a_missing_key(shop: Shop) -> None:
    copy = copied(shop.house)
    shop.run(Verb.ROTATE)
    anchor = shop.house.anchor.read_bytes()
    put_back(shop.house, copy)
    shop.house.anchor.unlink()
    for _ in range(3):
        shop.run(Verb.ROTATE)
    shop.house.anchor.write_bytes(anchor)
    assert shop.storage.open().header.generation == 7
    assert shop.storage.open().warnings == (faults.ROLLED_BACK,)
    assert shop.refused(Verb.ROTATE) is faults.VOLUME_OLD


def test_the_log_alone_tells_when_only_the_generations_went_back(shop: Shop) -> None:
    kept = shop.house.generation.read_bytes()
    shop.run(Verb.ROTATE)
    shop.house.anchor.unlink()
    for number in shop.generations:
        shop.storage.volume.file(number).unlink()
    shop.house.generation.write_bytes(kept)
    assert shop.storage.open().warnings == (faults.ROLLED_BACK,)
    assert shop.refused(Verb.ROTATE) is faults.VOLUME_OLD
    accept(shop)
    shop.run(Verb.ROTATE)
    assert [key.name for key in shop.keyset.keys] == ["v1", "v3"]


def test_a_version_that_any_trace_remembers_is_not_given_again(shop: Shop) -> None:
    lineage = shop.keyset.lineage
    (shop.house.volume / "ledger.json").write_text(
        json.dumps({"keys": {f"kleidi/{lineage}/v6/0123456789ab": 1}})
    )
    shop.run(Verb.STAGE)
    assert [key.name for key in shop.keyset.keys] == ["v1", "v7"]
    assert shop.keyset.keys[1].state is KeyState.STAGED


def test_an_anchor_of_an_earlier_version_is_completed(shop: Shop) -> None:
    known = shop.storage.anchor.read()
    assert known is not None
    old = {"schema": "kleidi.anchor/v1", "lineage": known.lineage, "generation": known.generation}
    shop.house.anchor.write_text(json.dumps(old))
    opened = shop.storage.open()
    assert opened.warnings == ()
    assert not shop.storage.remembers(opened)
    shop.storage.remember(opened)
    assert shop.storage.anchor.read() == known


def test_the_command_refuses_says_so_and_accepts(node: Node) -> None:
    copy = copied(node)
    assert node.kleidi("key", "rotate").returncode == 0
    put_back(node, copy)
    denied = node.kleidi("key", "rotate")
    assert denied.returncode == Exit.REFUSED
    assert denied.stderr.startswith("kleidi: E-VOLUME-OLD: ")
    assert "generation 3 was seen here, 1 is the newest" in denied.stderr
    assert node.kleidi("anchor", "accept", "--reason", " ").returncode == Exit.USAGE
    assert "E-ANCHOR-TYPED" in node.kleidi("anchor", "accept", "--reason", REASON).stderr
    lineage = node.storage().open().keyset.lineage
    assert lineage in node.kleidi("anchor", "show").stdout
    accepted = node.kleidi("anchor", "accept", "--reason", REASON, "--lineage", lineage)
    assert accepted.returncode == 0, accepted.stderr
    assert node.kleidi("key", "rotate").returncode == 0
    assert [key.name for key in node.storage().open().keyset.keys] == ["v1", "v3"]
