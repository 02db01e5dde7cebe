"""All cases in all rounds: within a case the sides take turns."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench.caller import Caller
from tests.bench.kms.case import Case, Results, Sample
from tests.bench.kms.sides import Side, every

_WARM_UP_SECONDS = 0.05


def measured(root: Path, cases: Sequence[Case], rounds: int, seconds: float) -> Results:
    found: dict[Case, dict[str, list[Sample]]] = {case: {} for case in cases}
    with Caller() as caller, every(root, caller) as sides:
        for case in cases:
            for side in _of(case, sides):
                side.measure(case, _WARM_UP_SECONDS)
        # Round by round, not case by case: what others do on this machine for a minute then hits all cases.
        for number in range(rounds):
            for case in cases:
                of_case = _of(case, sides)
                first = number % len(of_case)
                for side in of_case[first:] + of_case[:first]:
                    found[case].setdefault(side.name, []).append(side.measure(case, seconds))
    return found


def _of(case: Case, sides: Sequence[Side]) -> list[Side]:
    return [side for side in sides if side.does(case)]
