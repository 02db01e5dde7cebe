"""What the API server's own code makes of how we stand: some of the table in tests/states."""

import http

import pytest

from tests.conformance.encryption import Kms
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.service.running import Running
from tests.states.cases import CASES, Case
from tests.states.conftest import ground, journal, look_often, running
from tests.states.ground import Ground

__all__ = ["ground", "journal", "look_often", "running"]

OK = http.HTTPStatus.OK
NAMES = (
    "seal key gone",
    "seal key gone, anchor damaged",
    "a retired key unreadable",
    "a retired key unreadable, volume rolled back",
    "sealed, its key missing",
)
some = pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in NAMES], ids=lambda case: case.name
)


def test_all_of_them_are_in_the_table() -> None:
    assert set(NAMES) <= {case.name for case in CASES}


@some
def test_only_what_can_fail_a_call_makes_it_not_ready(
    case: Case, running: Running, ground: Ground, stage: Stage
) -> None:
    assert running
    hurts = case.healthz or (None if case.serves else case.reasons[0])
    server = stage.apiserver(Kms("kleidi", ground.socket), ready=hurts is None)
    health = server.kms_health()
    # /readyz withholds the words, this path of it tells them.
    assert (health.status == OK, server.readyz().status == OK) == (hurts is None, hurts is None)
    told = [each for each in case.ids if each in health.text]
    assert told == ([hurts.id] if hurts else [])
    if case.serves:
        server.create_secret("new", "value")
        assert server.secret("new") == "value"
    if hurts and case.heal:
        case.heal(ground)
        running.wait_for("OPERATIONAL")
        eventually(lambda: server.readyz().status == OK, within=120, explain=lambda: f"{server.kms_health()}")
