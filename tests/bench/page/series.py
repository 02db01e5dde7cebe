"""Pure: what of the results a picture shows."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from tests.bench.caller import GROWTH
from tests.bench.kms.case import Case, Results, Sample
from tests.bench.kms.table import Figure, rate, ratio_of
from tests.bench.rounds import Spread

Points = list[tuple[float, float]]


def ratios(results: Results, name: str, reference: str, figure: Figure) -> Iterator[tuple[Case, float]]:
    for case, sides in results.items():
        if name in sides:
            yield case, ratio_of(figure, sides[name], sides[reference])


def distribution(samples: Sequence[Sample]) -> Points:
    """Which share of all rounds' calls took so many microseconds or less."""
    steps: dict[int, int] = {}
    for sample in samples:
        for step, count in enumerate(sample.told.histogram, sample.told.first):
            steps[step] = steps.get(step, 0) + count
    lengths = sorted(steps)
    total = sum(steps.values())
    counted = accumulate(steps[length] for length in lengths)
    return [(GROWTH ** (length + 1), count / total) for length, count in zip(lengths, counted, strict=True)]


def growth(results: Results, name: str, kept: Case, along: str) -> Points:
    """Calls a second where all is as in *kept*, but for the field *along*."""
    found = [
        (getattr(case, along), Spread.of([rate(sample) for sample in sides[name]]).middle)
        for case, sides in results.items()
        if name in sides and all(getattr(case, field) == getattr(kept, field) for field in _FIELDS - {along})
    ]
    return sorted(found)


_FIELDS = {"method", "callers", "connections", "keys", "size"}
