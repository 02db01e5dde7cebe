"""The table of failures at a real server: which fault each is, and that it heals by itself."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from appliance import faults
from appliance.faults import Fault
from appliance.keys.engine import AwayError, EngineState, OffError
from appliance.transit.answers import Outcome, judged
from tests.conformance.patience import eventually
from tests.transit.conftest import MakeEngine, Site, beside, by_approle
from tests.transit.openbao import Node, single
from tests.volume.house import refused

LONGEST_SECONDS = 2.5
NOTHING = 'path "nothing" { capabilities = ["deny"] }'


def why_not(call: Callable[[], object]) -> Fault:
    began = time.monotonic()
    with pytest.raises((AwayError, OffError)) as caught:
        call()
    assert time.monotonic() - began < LONGEST_SECONDS
    assert isinstance(caught.value, AwayError | OffError)
    return caught.value.fault


def test_a_key_that_is_deleted(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    site.server.delete_key(site.key)
    assert why_not(lambda: site.wrap(made)) in (faults.TRANSIT_KEY_GONE, faults.TRANSIT_DENIED)
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_KEY_GONE
    assert why_not(site.engine.inspect) is faults.TRANSIT_KEY_GONE
    answers = {made.object_id: made.known_answer}
    assert refused(lambda: site.engine.prove(site.directory, made.state, answers)) is faults.TRANSIT_KEY_GONE


def test_a_key_is_never_made_by_encrypting(site: Site) -> None:
    made = site.take()
    site.server.delete_key(site.key)
    assert why_not(lambda: site.wrap(made))
    assert site.server.ask("GET", f"transit/keys/{site.key}")[0] == 404


def test_a_version_below_a_minimum_heals_when_it_is_lowered(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    site.server.rotate(site.key)
    site.server.configure_key(site.key, min_encryption_version=2)
    assert why_not(lambda: site.wrap(made)) is faults.TRANSIT_KEY_OFF
    assert site.unwrap(made, body) == bytes(32)
    site.server.configure_key(site.key, min_decryption_version=2)
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_KEY_OFF
    answers = {made.object_id: made.known_answer}
    assert refused(lambda: site.engine.prove(site.directory, made.state, answers)) is faults.TRANSIT_KEY_OFF
    site.server.configure_key(site.key, min_encryption_version=0, min_decryption_version=1)
    assert site.unwrap(made, site.wrap(made)) == bytes(32)


def test_a_version_that_is_trimmed_is_gone(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    site.server.rotate(site.key)
    site.server.configure_key(site.key, min_encryption_version=2, min_decryption_version=2)
    site.server.api("POST", f"transit/keys/{site.key}/trim", {"min_available_version": 2})
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_KEY_OFF
    assert site.take(made.state).object_id.endswith(":2")


def test_a_soft_deleted_key_heals_when_it_is_restored(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    site.server.api("DELETE", f"transit/keys/{site.key}/soft-delete")
    assert why_not(lambda: site.wrap(made)) is faults.TRANSIT_KEY_OFF
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_KEY_OFF
    site.server.api("POST", f"transit/keys/{site.key}/soft-delete-restore")
    assert site.unwrap(made, body) == bytes(32)


def test_a_surprise_rotation_changes_nothing(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    for _ in range(3):
        site.server.rotate(site.key)
        assert site.unwrap(made, site.wrap(made)) == site.unwrap(made, body) == bytes(32)


def test_a_version_that_the_server_does_not_know_yet(site: Site, make_engine: MakeEngine) -> None:
    """As after a restore of an older backup there."""
    site.server.rotate(site.key)
    made = site.take()
    site.server.delete_key(site.key)
    site.server.create_key(site.key)
    assert why_not(lambda: site.wrap(made)) is faults.TRANSIT_KEY_OFF
    assert why_not(lambda: site.unwrap(made, bytes(60))) is faults.TRANSIT_KEY_OFF
    assert refused(lambda: site.take(made.state)) is faults.TRANSIT_ROTATE_FIRST
    assert make_engine(site.access).make(site.directory, EngineState(), "").lineage != made.lineage


def test_a_policy_that_is_emptied_and_mended(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    whole = site.server.api("GET", f"sys/policies/acl/{site.key}")["data"]["policy"]
    site.server.policy(site.key, NOTHING)
    assert why_not(lambda: site.wrap(made)) is faults.TRANSIT_DENIED
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_DENIED
    site.server.policy(site.key, whole)
    assert site.unwrap(made, site.wrap(made)) == bytes(32)


@pytest.mark.parametrize(
    ("line", "breaks"),
    [("encrypt", "wrap"), ("decrypt", "unwrap"), ("keys", "make"), ("hmac", "make")],
)
def test_each_line_of_the_policy_is_needed(site: Site, line: str, breaks: str) -> None:
    made = site.take()
    body = site.wrap(made)
    whole = str(site.server.api("GET", f"sys/policies/acl/{site.key}")["data"]["policy"])
    lines = [each for each in whole.splitlines() if not each.startswith(f'path "transit/{line}/')]
    assert len(lines) == len(whole.splitlines()) - 1
    site.server.policy(site.key, "\n".join(lines))
    failures: dict[str, Fault] = {}
    site.server.rotate(site.key)
    calls: dict[str, Callable[[], bytes]] = {
        "wrap": lambda: site.wrap(made),
        "unwrap": lambda: site.unwrap(made, body),
    }
    for name, call in calls.items():
        try:
            call()
        except AwayError as error:
            failures[name] = error.fault
    assert refused(lambda: site.engine.make(site.directory, made.state, "")) is faults.TRANSIT_DENIED
    assert failures == ({breaks: faults.TRANSIT_DENIED} if breaks != "make" else {})


def test_the_harder_policy_is_enough_too(site: Site) -> None:
    whole = str(site.server.api("GET", f"sys/policies/acl/{site.key}")["data"]["policy"])
    harder = whole[whole.index('# path "transit/encrypt') : whole.index("\n\n# To rotate")]
    lines = [each for each in whole.splitlines() if not each.startswith('path "transit/encrypt/')]
    site.server.policy(site.key, "\n".join([*lines, harder.replace("# ", "")]))
    made = site.take()
    assert site.unwrap(made, site.wrap(made)) == bytes(32)


@pytest.mark.parametrize("changed", [{"mount": "nowhere"}, {"namespace": "nowhere"}])
def test_a_mount_or_namespace_that_is_not_there(
    site: Site, make_engine: MakeEngine, changed: dict[str, str]
) -> None:
    site.token(site.server.root)
    engine = make_engine(replace(site.access, **changed))  # type: ignore[arg-type]
    found = refused(lambda: engine.make(site.directory, EngineState(), ""))
    assert found in (faults.TRANSIT_PLACE, faults.TRANSIT_DENIED)
    assert found is faults.TRANSIT_PLACE or "namespace" in changed


def test_a_namespace_is_asked_in(site: Site, make_engine: MakeEngine) -> None:
    site.server.api("POST", f"sys/namespaces/{site.key}")
    site.token(site.server.root)
    engine = make_engine(replace(site.access, namespace=site.key))
    assert refused(lambda: engine.make(site.directory, EngineState(), "")) is faults.TRANSIT_PLACE


def test_a_quota_that_is_used_up(site: Site) -> None:
    made = site.take()
    site.server.api(
        "POST", f"sys/quotas/rate-limit/{site.key}", {"path": "transit/", "rate": 1, "interval": "1m"}
    )
    try:
        eventually(lambda: fault_of(lambda: site.wrap(made)) is faults.TRANSIT_BUSY, within=20)
    finally:
        site.server.api("DELETE", f"sys/quotas/rate-limit/{site.key}")
    assert site.unwrap(made, site.wrap(made)) == bytes(32)


def fault_of(call: Callable[[], object]) -> Fault | None:
    try:
        call()
    except (AwayError, OffError) as error:
        return error.fault
    return None


@pytest.fixture
def own(
    site: Site, make_engine: MakeEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, Site]]:
    """A server that a test may seal, hang and kill."""
    directory = tmp_path_factory.mktemp("own")
    with single(directory / "bao", site.server.authority) as node:
        (directory / "node").mkdir()
        yield node, beside(node, directory / "node", make_engine)


def test_an_outage_is_told_by_its_name_and_ends_by_itself(own: tuple[Node, Site]) -> None:
    node, site = own
    made = site.take()
    body = site.wrap(made)
    node.seal()
    assert why_not(lambda: site.wrap(made)) is faults.TRANSIT_SEALED
    assert refused(lambda: site.take(made.state)) is faults.TRANSIT_SEALED
    node.unseal()
    node.wait_active()
    assert site.unwrap(made, site.wrap(made)) == bytes(32)
    node.stop()
    assert why_not(lambda: site.wrap(made)) is faults.TRANSIT_AWAY
    node.cont()
    eventually(lambda: fault_of(lambda: site.unwrap(made, body)) is None, within=20)
    node.kill()
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_AWAY
    node.start()
    assert why_not(lambda: site.unwrap(made, body)) is faults.TRANSIT_SEALED
    node.unseal()
    node.wait_active()
    # The token lived through the restart.
    assert site.unwrap(made, body) == bytes(32)


def test_a_server_that_is_not_initialised_is_sealed(
    site: Site, make_engine: MakeEngine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = Node(tmp_path_factory.mktemp("new") / "bao", site.server.authority)
    made = site.take()
    try:
        node.start()
        engine = make_engine(replace(site.access, addresses=(node.address,)))
        engine.open(site.directory, made.state)
        assert why_not(lambda: engine.wrap(made.object_id, b"x", b"aad")) is faults.TRANSIT_SEALED
    finally:
        node.end()


def test_what_is_a_mistake_of_ours_is_neither_away_nor_off() -> None:
    assert judged(400, {"errors": ["failed to decode JSON input"]}) is Outcome.OURS
    assert judged(405, {"errors": []}) is Outcome.OURS
    assert judged(413, None) is Outcome.OURS


def test_a_login_at_a_sealed_server_is_no_refusal(own: tuple[Node, Site], make_engine: MakeEngine) -> None:
    node, site = own
    approle = by_approle(site, make_engine)
    node.seal()
    assert refused(approle.take) is faults.TRANSIT_SEALED
    node.unseal()
    node.wait_active()
    assert approle.take()
