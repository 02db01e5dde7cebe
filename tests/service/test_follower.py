"""A rotation at the server is followed: staged at once, promoted when every node has had its time."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.keyset import Key, KeySet, KeyState, Moment
from appliance.ops.operations import Command, Outcome, Verb
from appliance.service.engines.follower import STAGED_SECONDS, Follower
from appliance.service.standing import Standing
from appliance.volume.opening import Opened
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from tests.fakes import made
from tests.volume.house import LINEAGE

PRIMARY = Key.born(LINEAGE, 1, KeyState.PRIMARY, made("k1", b"one"), engine="transit")
STAGED = Key.born(LINEAGE, 2, KeyState.STAGED, made("k2", b"two"), Moment(1000), engine="transit")
NEWER = (faults.TRANSIT_NEWER, "version 2, taken up 1")


@dataclass
class Stage:
    """What a follower sees and does; it stands in for keeper and changes."""

    now: Standing
    fault: faults.Fault | None = None
    done: list[Command] = field(default_factory=list)

    def standing(self) -> Standing:
        return self.now

    async def change(self, command: Command) -> Outcome:
        self.done.append(command)
        if self.fault:
            raise KleidiError(self.fault)
        keyset = self.now.keyset
        assert keyset
        return Outcome(Opened(Header(LINEAGE, 1), Payload(keyset, {}), ""), keyset.primary, ())


def standing(*keys: Key, newer: bool = False) -> Standing:
    found = Standing(None, keyset=KeySet(LINEAGE, keys))
    return found.told(NEWER) if newer else found


def step(stage: Stage, now: float = 1000) -> list[tuple[Verb, str]]:
    follower = Follower(stage, stage, "transit", faults.TRANSIT_NEWER, "0:1", lambda: now)  # type: ignore[arg-type]
    asyncio.run(follower.step())
    assert {command.by for command in stage.done} <= {"0:1"}
    return [(command.verb, command.key or command.engine) for command in stage.done]


def test_nothing_is_done_while_nothing_is_new() -> None:
    assert step(Stage(standing(PRIMARY))) == []


def test_a_new_version_is_staged_at_once() -> None:
    assert step(Stage(standing(PRIMARY, newer=True))) == [(Verb.STAGE, "transit")]


@pytest.mark.parametrize("later", [0, STAGED_SECONDS - 1, STAGED_SECONDS])
def test_it_is_promoted_once_every_node_had_its_time(later: int) -> None:
    stage = Stage(standing(PRIMARY, STAGED))
    due = later >= STAGED_SECONDS
    assert step(stage, 1000 + later) == ([(Verb.PROMOTE, "v2")] if due else [])
    # Nodes that share their keys agree by the key set, and so does this.
    assert [command.expect_keyset for command in stage.done] == ([stage.now.keyset.hash] if due else [])  # type: ignore[union-attr]


def test_another_engines_staged_key_is_left_to_whoever_staged_it() -> None:
    theirs = replace(STAGED, engine="softhsm")
    assert step(Stage(standing(PRIMARY, theirs, newer=True)), 10**6) == []


def test_while_nothing_is_served_nothing_is_followed() -> None:
    assert step(Stage(replace(standing(PRIMARY, newer=True), held_back=True))) == []
    assert step(Stage(Standing())) == []


def test_what_fails_now_is_tried_again() -> None:
    stage = Stage(standing(PRIMARY, newer=True), faults.TRANSIT_AWAY)
    assert step(stage) == [(Verb.STAGE, "transit")]
    assert len(step(stage)) == 2
