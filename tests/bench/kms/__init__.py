"""What a KMS v2 call costs: ours, a plugin in Go on the published libraries, and what they are made of."""

from pathlib import Path

from tests.bench.kms import case, goals, measure, table
from tests.bench.kms.sides import OURS, REFERENCE

_SECONDS = 0.3


def measured(root: Path, rounds: int, *, whole: bool) -> case.Results:
    return measure.measured(root, case.whole() if whole else case.short(), rounds, _SECONDS)


def rows(results: case.Results, rounds: int) -> list[str]:
    found = [f"KMS v2 over a Unix socket, {rounds} rounds of {_SECONDS} s in turns: medians"]
    found += table.rows(results, REFERENCE)
    for name in OURS:
        found += ["", *goals.rows(results, name, REFERENCE)]
    return found
