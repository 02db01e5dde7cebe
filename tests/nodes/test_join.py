"""Invited, given, taken: the same keys under another seal. And whatever is not for this node."""

from collections.abc import Callable

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities, Recipients
from appliance.backup.bundle import make
from appliance.keys.engine import SOFTHSM, EngineState
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from appliance.provision.policy import Policy
from tests.fakes import FakeEngine
from tests.nodes.member import HOUR, Founder, Member, Newcomer
from tests.volume.house import OTHER_LINEAGE, UNTOLD, House, let_no_end_be_logged, refused


def lacks_nothing(founder: Member, newcomer: Member) -> None:
    ours, theirs = newcomer.storage.open(), founder.storage.open()
    assert ours.payload.keyset.hash == theirs.payload.keyset.hash
    assert [key.id for key in ours.payload.keyset.keys] == [key.id for key in theirs.payload.keyset.keys]
    assert ours.payload.shared
    assert theirs.payload.shared


def test_a_newcomer_has_the_keys_under_a_seal_of_its_own(real: tuple[Founder, Newcomer]) -> None:
    founder, newcomer = real
    before = founder.wrap()
    outcome = newcomer.take(founder)
    assert outcome.opened.header.generation == 1
    lacks_nothing(founder, newcomer)
    assert newcomer.opens(before)
    assert newcomer.house.seal_key.read_bytes() != founder.house.seal_key.read_bytes()
    (ours,), (theirs,) = newcomer.storage.open().payload.slots, founder.storage.open().payload.slots
    assert ours.wrapping_key != theirs.wrapping_key
    assert newcomer.audit.verify() == 2
    known = newcomer.storage.anchor.read()
    assert known == outcome.opened.memory
    assert known is not None
    assert (known.lineage, known.generation) == (founder.keyset.lineage, 1)
    after = newcomer.wrap()
    assert founder.opens(before, after)


def test_a_join_is_done_when_only_its_last_line_cannot_be_written(
    founder: Founder, newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for newer in (False, True):
        if newer:
            founder.run(Verb.STAGE)
        bundle = founder.export(newcomer.invitations.invite())
        with monkeypatch.context() as full:
            let_no_end_be_logged(full)
            assert UNTOLD in newcomer.join(bundle).said
        lacks_nothing(founder, newcomer)
        assert newcomer.refuses(bundle) is faults.INVITATION_EXPIRED  # the invitation was for one


def test_a_rotation_goes_round(real: tuple[Founder, Newcomer]) -> None:
    founder, newcomer = real
    before = founder.wrap()
    newcomer.take(founder)
    founder.run(Verb.STAGE)
    staged = founder.keyset.hash
    assert newcomer.refused(Verb.PROMOTE, "v1", expect_keyset=staged) is faults.KEYSET_DIFFERS
    outcome = newcomer.take(founder)
    assert outcome.opened.header.generation == 2
    assert newcomer.keyset.hash == staged
    founder.run(Verb.PROMOTE, "v2", expect_keyset=staged)
    ahead = founder.wrap()
    assert newcomer.opens(before, ahead)
    newcomer.run(Verb.PROMOTE, "v2", expect_keyset=staged)
    lacks_nothing(founder, newcomer)


def test_what_is_shared_is_not_rotated_alone(founder: Founder, newcomer: Newcomer) -> None:
    founder.run(Verb.ROTATE)
    newcomer.take(founder)
    for member in (founder, newcomer):
        assert member.refused(Verb.ROTATE) is faults.KEYSET_SHARED
        member.run(Verb.STAGE)
        assert member.refused(Verb.PROMOTE, "v3") is faults.KEYSET_SHARED
        member.run(Verb.PROMOTE, "v3", expect_keyset=member.keyset.hash)


def test_both_staged_is_a_conflict_and_nothing_changes(founder: Founder, newcomer: Newcomer) -> None:
    newcomer.take(founder)
    founder.run(Verb.STAGE)
    newcomer.run(Verb.STAGE)
    assert newcomer.refuses(founder.export(newcomer.invitations.invite())) is faults.KEYSET_CONFLICT


def test_a_stale_bundle_is_refused(founder: Founder, newcomer: Newcomer) -> None:
    newcomer.take(founder)
    lacking = founder.export(newcomer.invitations.invite())
    newcomer.run(Verb.STAGE)
    assert newcomer.refuses(lacking) is faults.BUNDLE_STALE
    founder.take(newcomer)
    older = founder.export(newcomer.invitations.invite())
    newcomer.run(Verb.PROMOTE, "v2", expect_keyset=newcomer.keyset.hash)
    assert newcomer.refuses(older) is faults.BUNDLE_STALE
    founder.take(newcomer)
    lacks_nothing(founder, newcomer)


def test_what_is_held_already_is_no_generation_more(founder: Founder, newcomer: Newcomer) -> None:
    newcomer.take(founder)
    before = newcomer.house.snapshot()
    outcome = newcomer.take(founder)
    assert outcome.said == ("this node holds these keys in these states already",)
    assert newcomer.house.snapshot() == before


def test_a_destroyed_key_goes_here_too(founder: Founder, newcomer: Newcomer) -> None:
    founder.run(Verb.ROTATE)
    newcomer.take(founder)
    key = founder.run(Verb.DISABLE, "v1", stored=0).key
    founder.clocks.go_on(30 * 24 * HOUR)
    founder.destroy(key)
    newcomer.take(founder)
    assert newcomer.key("v1").state is KeyState.DESTROYED
    assert newcomer.generations == [2]


def test_a_foreign_lineage_is_refused(founder: Founder, newcomer: Newcomer, stranger: Founder) -> None:
    newcomer.take(founder)
    assert newcomer.refuses(stranger.export(newcomer.invitations.invite())) is faults.LINEAGE_FOREIGN


def test_an_expected_lineage_is_the_only_one(founder: Founder, newcomer: Newcomer) -> None:
    newcomer.expecting(OTHER_LINEAGE)
    assert newcomer.refuses(founder.export(newcomer.invitations.invite())) is faults.LINEAGE_FOREIGN
    newcomer.expecting(founder.keyset.lineage)
    newcomer.take(founder)


def test_a_node_that_may_make_keys_does_not_join(founder: Founder, newcomer: Newcomer) -> None:
    newcomer.prepare(Policy.AUTO)
    assert newcomer.refuses(founder.export(newcomer.invitations.invite())) is faults.JOIN_AUTO
    newcomer.prepare(Policy.NEVER)
    newcomer.take(founder)


def test_an_invitation_is_good_for_one_bundle_and_a_day(founder: Founder, newcomer: Newcomer) -> None:
    bundle = founder.export(Identities.generate().recipients.names[0])
    assert newcomer.refuses(bundle) is faults.INVITATION_EXPIRED
    recipient = newcomer.invitations.invite()
    assert newcomer.refuses(bundle) is faults.INVITATION_FOREIGN
    ours = founder.export(recipient)
    assert newcomer.refuses(ours[: len(ours) // 2]) is faults.BACKUP_CORRUPT
    newcomer.clock = 24 * HOUR
    assert newcomer.refuses(ours) is faults.INVITATION_EXPIRED
    newcomer.clock = 0
    assert newcomer.refuses(ours) is faults.INVITATION_EXPIRED, "an expired one does not come back"
    ours = founder.export(newcomer.invitations.invite())
    newcomer.join(ours, dry_run=True)
    newcomer.join(ours)
    assert newcomer.refuses(ours) is faults.INVITATION_EXPIRED
    # A second invitation takes the place of the first; a restart forgets it.
    first = founder.export(newcomer.invitations.invite())
    newcomer.invitations.invite()
    assert newcomer.refuses(first) is faults.INVITATION_FOREIGN
    newcomer.prepare(Policy.JOIN)
    assert newcomer.refuses(first) is faults.INVITATION_EXPIRED


@pytest.mark.parametrize("recipient", ["", "age1", "nobody", "AGE-SECRET-KEY-1QQQ"])
def test_nothing_is_given_to_what_is_no_recipient(founder: Founder, recipient: str) -> None:
    before = founder.house.snapshot()
    assert refused(lambda: founder.export(recipient)) is faults.BACKUP_RECIPIENT
    assert founder.house.snapshot() == before


def test_a_dry_run_changes_nothing(founder: Founder, newcomer: Newcomer) -> None:
    bundle = founder.export(newcomer.invitations.invite())
    before = newcomer.house.snapshot()
    newcomer.join(bundle, dry_run=True)
    assert newcomer.house.snapshot() == before
    newcomer.join(bundle)
    founder.run(Verb.STAGE)
    bundle, before = founder.export(newcomer.invitations.invite()), newcomer.house.snapshot()
    assert newcomer.join(bundle, dry_run=True).said[0].startswith("would take: ")
    assert newcomer.house.snapshot() == before


def test_a_lost_volume_takes_its_own_lineage_back_and_no_other(
    founder: Founder, newcomer: Newcomer, stranger: Founder
) -> None:
    newcomer.take(founder)
    founder.run(Verb.STAGE)
    newcomer.take(founder)
    for path in newcomer.house.volume.iterdir():
        path.unlink()
    assert newcomer.refuses(stranger.export(newcomer.invitations.invite())) is faults.LINEAGE_FOREIGN
    outcome = newcomer.take(founder)
    # It goes on from what is remembered outside the volume: nothing looks rolled back.
    assert outcome.opened.header.generation == 3
    assert newcomer.storage.open().warnings == ()


def test_a_bundle_whose_keys_do_not_work_is_not_taken(founder: Founder, newcomer: Newcomer) -> None:
    opened = founder.storage.open()
    files = opened.payload.state(SOFTHSM).files
    payload = opened.payload.with_state(SOFTHSM, EngineState({name: bytes(32) for name in files}))
    bundle = make(payload, opened.header, Recipients((newcomer.invitations.invite(),)))
    assert newcomer.refuses(bundle) is faults.TRIAL_FAILED
    assert not newcomer.cluster.holds_keys()


@pytest.fixture
def stranger(build: Callable[[str], House]) -> Founder:
    """A node of another cluster."""
    return Founder(build("stranger"), FakeEngine())
