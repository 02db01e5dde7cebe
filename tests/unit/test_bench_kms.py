from tests.bench.caller import Told
from tests.bench.kms import goals, table
from tests.bench.kms.case import BUSY, MANY_KEYS, ONE, STORM, Case, Sample, short, whole


def sample(rate: float, p50: float = 100, *, cpu: float = 10, failed: int = 0) -> Sample:
    errors = {"Unavailable": failed} if failed else {}
    return Sample(Told(int(rate) + failed, failed, errors, "", 1, p50, p50, p50, p50, 0, []), cpu, 5)


def test_the_short_run_is_a_part_of_the_whole_one() -> None:
    assert set(short()) < set(whole())
    assert len(set(whole())) == len(whole())


def test_the_short_run_has_all_that_the_goals_are_about() -> None:
    results = {case: {"ours": [sample(2)], "go": [sample(1)]} for case in short()}
    assert [goal.words for goal in goals.goals(results, "ours", "go") if goal.reached is None] == []


def test_a_goal_is_reached_at_its_bound_and_missed_beyond() -> None:
    case = Case("Status", *BUSY)
    for rate, verdict in ((120, "reached"), (119, "missed")):
        last = goals.rows({case: {"ours": [sample(rate)], "go": [sample(100)]}}, "ours", "go")[-1]
        assert last.endswith(f">= 1.20x   {verdict}")


def test_what_should_be_small_is_missed_when_it_is_large() -> None:
    case = Case("Encrypt", *ONE)
    results = {case: {"ours": [sample(1, 86)], "go": [sample(1, 100)]}}
    (p50,) = [goal for goal in goals.goals(results, "ours", "go") if goal.words == "Encrypt, one caller: p50"]
    assert str(p50).endswith("0.86x    <= 0.85x   missed")


def test_growth_is_ours_beside_ours() -> None:
    results = {
        Case("Decrypt", *BUSY): {"ours": [sample(100)], "go": [sample(1)]},
        Case("Decrypt", *BUSY, MANY_KEYS): {"ours": [sample(97)], "go": [sample(9)]},
        Case("Decrypt", *STORM): {"ours": [sample(89)], "go": [sample(9)]},
    }
    found = {goal.words: goal.reached for goal in goals.goals(results, "ours", "go")}
    assert found["Decrypt, 16 callers: calls/s with 1,000 keys to those with one"] == 0.97
    assert found["Decrypt: calls/s of 64 callers on 16 connections to 16 on one"] == 0.89


def test_a_row_has_medians_the_spread_and_the_ratios() -> None:
    sides = {"ours": [sample(100), sample(300), sample(200)], "go": [sample(200), sample(300), sample(100)]}
    _, ours, go = table.rows({Case("Encrypt"): sides}, "go")
    assert ours.split() == [
        *("Encrypt", "32", "B", "1", "1", "1", "ours", "200", "(100", "-", "300)", "100", "100", "10", "5"),
        *("1.00x", "1.00x", "1.00x", "1.00x"),
    ]
    assert go.split()[:2] == ["go", "200"]
    assert "x" not in go


def test_failures_are_told_by_code() -> None:
    rows = table.rows({Case("Encrypt"): {"go": [sample(100, failed=2), sample(100, failed=1)]}}, "go")
    assert rows[-1].strip() == "failed of 203 calls: Unavailable 3"
