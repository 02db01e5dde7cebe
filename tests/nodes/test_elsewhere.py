"""A key that lies elsewhere is carried by its name alone: who joins must reach the same engine."""

from collections.abc import Callable

import pytest

from appliance import faults
from appliance.keys.engines import Engines
from appliance.keys.keyring import Keyring
from appliance.ops.operations import Verb
from appliance.ops.workshop import Workshop
from tests.fakes import FakeEngine, FakeRemote
from tests.nodes.member import Founder, Member, Newcomer
from tests.ops.shop import SEED
from tests.volume.house import House


def with_remote(member: Member, remote: FakeRemote) -> Member:
    engines = Engines.of(softhsm=member.engine, transit=remote)
    workshop = Workshop(member.storage, engines, member.house.memory)
    object.__setattr__(member.operations, "workshop", workshop)
    return member


@pytest.fixture
def shared(build: Callable[[str], House]) -> tuple[Founder, Newcomer, FakeRemote, FakeRemote]:
    """Two nodes, and each one's own way to the same place."""
    there: dict[str, bytes] = {}
    founder, newcomer = Founder(build("founder"), FakeEngine()), Newcomer(build("newcomer"), FakeEngine())
    ways = FakeRemote(there), FakeRemote(there)
    with_remote(founder, ways[0])
    with_remote(newcomer, ways[1])
    founder.run(Verb.STAGE, engine="transit")
    founder.run(Verb.PROMOTE, "v2")
    return founder, newcomer, *ways


def test_who_joins_opens_what_the_other_encrypted(
    shared: tuple[Founder, Newcomer, FakeRemote, FakeRemote],
) -> None:
    founder, newcomer, _, way = shared
    newcomer.take(founder)
    assert newcomer.keyset.hash == founder.keyset.hash
    opened = newcomer.storage.open()
    for name in opened.payload.engines:
        assert not any(value in opened.payload.to_bytes() for value in way.keys.values()), name
    founder_ring = Keyring(founder.keyset, {**founder.operations.workshop.engines})
    founder.operations.workshop.engines["transit"].open(founder.house.memory, opened.payload.state("transit"))
    wrapped = founder_ring.wrap(SEED)
    way.open(newcomer.house.memory, opened.payload.state("transit"))
    ring = Keyring(newcomer.keyset, {**newcomer.operations.workshop.engines})
    assert ring.unwrap(wrapped.key_id, wrapped.envelope) == SEED


def test_without_a_way_there_nothing_is_joined(
    shared: tuple[Founder, Newcomer, FakeRemote, FakeRemote],
) -> None:
    founder, newcomer, _, way = shared
    way.leave(faults.TRANSIT_UNSET)
    bundle = founder.export(newcomer.invitations.invite())
    assert newcomer.refuses(bundle) is faults.TRANSIT_UNSET
    way.come_back()
    newcomer.join(bundle)
    assert newcomer.keyset.hash == founder.keyset.hash


def test_a_newer_key_set_is_taken_over_what_was_joined(
    shared: tuple[Founder, Newcomer, FakeRemote, FakeRemote],
) -> None:
    founder, newcomer, _, way = shared
    newcomer.take(founder)
    (name,) = way.keys
    (transit,) = [key for key in founder.keyset.keys if key.engine == "transit"]
    assert transit.object_id == name
    founder.run(Verb.STAGE, engine="softhsm")
    newcomer.join(founder.export(newcomer.invitations.invite()))
    assert newcomer.keyset.hash == founder.keyset.hash
