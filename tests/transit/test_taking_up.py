"""Versions are taken up one by one, each once, and known again by what is the same at every node."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.transit.held import FILE
from appliance.keys import key_id
from appliance.keys.engine import EngineState
from tests.transit.conftest import MakeEngine, Site
from tests.volume.house import refused


def test_two_nodes_come_to_the_same_key_by_themselves(site: Site, make_engine: MakeEngine) -> None:
    site.server.rotate(site.key)
    one = site.take()
    other = replace(site, engine=make_engine(site.access))
    two = other.take()
    assert (one.object_id, one.print_source, one.lineage) == (two.object_id, two.print_source, two.lineage)
    assert one.known_answer != two.known_answer
    assert key_id.LINEAGE.fullmatch(one.lineage)
    assert other.unwrap(two, site.wrap(one)) == bytes(32)


def test_the_lineage_outlives_rotation_and_not_a_key_made_anew(site: Site) -> None:
    first = site.take()
    site.server.rotate(site.key)
    assert site.take(first.state).lineage == first.lineage
    site.server.delete_key(site.key)
    site.server.create_key(site.key)
    assert site.take().lineage != first.lineage


def test_the_lineage_is_drawn_from_the_lowest_version_that_is_left(site: Site) -> None:
    for _ in range(2):
        site.server.rotate(site.key)
    before = site.take().lineage
    site.server.configure_key(site.key, min_decryption_version=2)
    one, two = site.take(), site.take()
    assert one.lineage == two.lineage != before


def test_a_version_is_taken_up_once_and_never_after_it_was_destroyed(site: Site) -> None:
    made = site.take()
    assert refused(lambda: site.take(made.state)) is faults.TRANSIT_ROTATE_FIRST
    gone = site.engine.destroy(site.directory, made.state, made.object_id)
    assert site.engine.needs(gone) == ""
    assert refused(lambda: site.take(gone)) is faults.TRANSIT_ROTATE_FIRST
    again = refused(lambda: site.engine.destroy(site.directory, gone, made.object_id))
    assert again is faults.TRIAL_FAILED
    site.server.rotate(site.key)
    second = site.take(gone)
    assert site.engine.needs(second.state) == f"Transit key transit/{site.key}, version 2"


def test_an_older_version_never_follows_a_newer_one(site: Site) -> None:
    site.server.rotate(site.key)
    newest = site.take()
    assert refused(lambda: site.take(newest.state)) is faults.TRANSIT_ROTATE_FIRST


def test_a_version_that_another_node_took_up_is_found_by_its_fingerprint(
    site: Site, make_engine: MakeEngine
) -> None:
    first = site.take()
    site.server.rotate(site.key)
    other = replace(site, engine=make_engine(site.access))
    second = other.take(first.state)
    body = other.wrap(second)
    found = site.engine.find(first.state, key_id.fingerprint(second.print_source))
    assert found is not None
    site.engine.open(site.directory, found.state)
    assert site.unwrap(found, body) == bytes(32)
    assert site.engine.find(found.state, key_id.fingerprint(second.print_source)) is None
    assert site.engine.find(first.state, "0" * 12) is None


def test_every_key_is_proved(site: Site) -> None:
    first = site.take()
    site.server.rotate(site.key)
    second = site.take(first.state)
    answers = {made.object_id: made.known_answer for made in (first, second)}
    site.engine.prove(site.directory, second.state, answers)

    def fails(state: EngineState, answers: dict[str, bytes]) -> None:
        assert refused(lambda: site.engine.prove(site.directory, state, answers)) is faults.TRIAL_FAILED

    fails(second.state, {**answers, first.object_id: second.known_answer})
    # A key that is switched off here may be so there, too, and is not asked.
    site.engine.prove(site.directory, second.state, {first.object_id: first.known_answer})
    fails(first.state, answers)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"schema": 2}', b'{"schema": 1, "versions": {"a": 1}}']
)
def test_a_damaged_state_is_refused(site: Site, damage: bytes) -> None:
    made, state = site.take(), EngineState({FILE: damage})
    assert refused(lambda: site.engine.open(site.directory, state)) is faults.TOKEN_LOST
    assert refused(lambda: site.engine.prove(site.directory, state, {})) is faults.TRIAL_FAILED
    assert refused(lambda: site.engine.make(site.directory, state, "")) is faults.TRIAL_FAILED
    assert made.state


UNFIT: dict[str, dict[str, object]] = {
    "aes128-gcm96": {"type": "aes128-gcm96"},
    "chacha20-poly1305": {"type": "chacha20-poly1305"},
    "rsa-2048": {"type": "rsa-2048"},
    "derived": {"derived": True},
    "convergent": {"derived": True, "convergent_encryption": True},
    "exportable": {"exportable": True},
    "backup": {"allow_plaintext_backup": True},
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_key_that_does_not_keep_a_secret_is_refused(
    site: Site, make_engine: MakeEngine, kind: str, tmp_path: Path
) -> None:
    name = f"{site.key}-{kind}"
    site.server.create_key(name, "transit", **UNFIT[kind])
    site.token(site.server.root)
    engine = make_engine(replace(site.access, key=name))
    assert refused(lambda: engine.make(tmp_path, EngineState(), "")) is faults.TRANSIT_KEY_UNFIT


def test_a_soft_deleted_key_is_refused(site: Site) -> None:
    site.server.api("DELETE", f"transit/keys/{site.key}/soft-delete")
    assert refused(site.take) is faults.TRANSIT_KEY_UNFIT


def test_what_will_trouble_somebody_is_seen_ahead(site: Site) -> None:
    made = site.take()
    assert site.engine.inspect() == {}
    site.server.configure_key(site.key, deletion_allowed=True, auto_rotate_period="24h")
    site.server.rotate(site.key)
    site.server.configure_key(site.key, min_encryption_version=2)
    found = site.engine.inspect()
    assert {*found} == {
        faults.TRANSIT_DELETABLE,
        faults.TRANSIT_AUTO_ROTATE,
        faults.TRANSIT_MINIMUM,
        faults.TRANSIT_NEWER,
    }
    assert "version 2, taken up 1" in found[faults.TRANSIT_NEWER]
    second = site.take(made.state)
    assert {*site.engine.inspect()} == {faults.TRANSIT_DELETABLE, faults.TRANSIT_AUTO_ROTATE}
    site.server.configure_key(site.key, min_decryption_version=2)
    assert faults.TRANSIT_MINIMUM in site.engine.inspect()
    site.engine.open(site.directory, site.engine.destroy(site.directory, second.state, made.object_id))
    assert faults.TRANSIT_MINIMUM not in site.engine.inspect()
    site.token(site.server.root)
    assert faults.TRANSIT_UPSERT in site.engine.inspect()


def test_a_restored_backup_is_seen(site: Site, make_engine: MakeEngine) -> None:
    """Version 2 after it is not the version 2 from before it."""
    name = f"{site.key}-restored"
    site.server.create_key(name, exportable=True, allow_plaintext_backup=True)
    backup = site.server.api("GET", f"transit/backup/{name}")["data"]["backup"]
    site.server.api("POST", f"transit/restore/{name}-again", {"backup": backup})
    site.token(site.server.root)
    engine = make_engine(replace(site.access, key=f"{name}-again"))
    assert faults.TRANSIT_RESTORED in engine.inspect()


def test_the_operator_rotates_with_a_token_of_their_own(site: Site) -> None:
    made = site.take()
    assert refused(site.engine.rotate) is faults.TRANSIT_DENIED
    site.token(site.server.root)
    assert site.engine.rotate() == 2
    assert site.take(made.state).object_id.endswith(":2")
