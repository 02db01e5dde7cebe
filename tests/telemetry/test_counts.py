"""Facts become numbers, and nothing that a caller sends becomes the name of one."""

import itertools

from appliance import faults
from appliance.telemetry import Called, Committed, Counts, Proved, Remarked, Stood, Switched, TokenOpened
from appliance.telemetry.counts import BOUNDS


def counts() -> Counts:
    """By a clock that goes on by one with each look."""
    return Counts(itertools.count(1000).__next__)


def test_a_call_is_counted_once_and_falls_at_its_bound_into_the_lower_part() -> None:
    counted = counts()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] + 1):
        counted.observe(Called("Encrypt", seconds, rpc="Encrypt"))
    calls = counted.calls["Encrypt"]
    assert calls.well == sum(calls.taken) == 5
    assert (calls.taken[0], calls.taken[1], calls.taken[-2], calls.taken[-1]) == (2, 1, 1, 1)
    assert calls.seconds == sum((0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] + 1))
    assert calls.last == 1005


def test_a_refusal_is_counted_by_its_fault_and_not_by_what_the_caller_said() -> None:
    counted = counts()
    for number in range(50):
        told = Called(f"key {number}", 0.1, f"uid {number}", fault=faults.KEY_UNKNOWN, detail=f"{number}")
        counted.observe(told._replace(rpc="Decrypt"))
    assert counted.calls.keys() == {"Decrypt"}
    assert counted.calls["Decrypt"].refused == {faults.KEY_UNKNOWN.id: 50}
    assert counted.calls["Decrypt"].well == 0


def test_keys_leave_only_by_a_call_that_went_well_and_was_meant() -> None:
    counted = counts()
    counted.observe(Called("backup create", 0.1, about={"dry_run": True}, rpc="Bundle"))
    counted.observe(Called("backup create", 0.1, about={"dry_run": ""}, rpc="Bundle"))
    counted.observe(Called("node export", 0.1, about={"dry_run": ""}, rpc="Export"))
    told = Called("node export", 0.1, fault=faults.BACKUP_KEY_WRONG, about={"dry_run": ""}, rpc="Export")
    counted.observe(told)
    assert counted.exports == {"backup": 1, "node": 1}


def test_proofs_are_kept_apart_by_engine_and_a_failed_one_moves_no_time() -> None:
    counted = counts()
    counted.observe(Proved("softhsm"))
    counted.observe(Proved("softhsm", 0.25))
    last = counted.proofs["softhsm"].last
    counted.observe(Proved("softhsm", 9.0, faults.TOKEN_LOST))
    counted.observe(Proved("transit", 0.5, faults.ENGINE_SLOW))
    own, other = counted.proofs["softhsm"], counted.proofs["transit"]
    assert (own.well, own.failed, own.last, own.seconds) == (2, 1, last, 0.25)
    assert (other.well, other.failed, other.last) == (0, 1, 0.0)


def test_a_state_began_when_it_came_whoever_tells_of_it() -> None:
    counted = counts()
    began = counted.since
    counted.stands("STARTING")
    assert (counted.state, counted.since) == ("STARTING", began)
    counted.observe(Stood("STARTING", "OPERATIONAL"))
    operational = counted.since
    assert operational > began
    counted.observe(Stood("OPERATIONAL", "OPERATIONAL", key_id="another"))
    assert counted.since == operational
    counted.observe(Remarked(faults.SEAL_KEY_GONE, "OPERATIONAL", "DEGRADED"))
    degraded = counted.since
    counted.stands("DEGRADED")
    assert (counted.state, counted.since) == ("DEGRADED", degraded)
    counted.stands("FAILED")
    assert counted.since > degraded


def test_what_else_happens_is_counted_or_left_alone() -> None:
    counted = counts()
    for event in (
        TokenOpened(0.5),
        Switched(2, 0.125),
        Switched(3, 0.25),
        Committed("rotate", "0:1", 3, 1.0),
    ):
        counted.observe(event)
    assert (counted.opened, counted.switched, counted.pause) == (1, 2, 0.25)
