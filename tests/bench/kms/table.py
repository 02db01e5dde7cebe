"""Pure: the results as a table, each side's ratios to the reference behind its figures."""

from collections.abc import Callable, Sequence

from tests.bench.kms.case import Results, Sample
from tests.bench.rounds import Spread, ratio

Figure = Callable[[Sample], float]


def rate(sample: Sample) -> float:
    return sample.told.rate


def p50(sample: Sample) -> float:
    return sample.told.p50


def p99(sample: Sample) -> float:
    return sample.told.p99


def cpu(sample: Sample) -> float:
    return sample.cpu


FIGURES: tuple[Figure, ...] = (rate, p50, p99, cpu)
_CASE = "method   size   keys  callers  conns"
_TITLE = (
    f"{_CASE}   {'':24} calls/s (lowest - highest)   p50 us   p99 us   CPU us  sup. us"
    "   ratios: calls/s   p50    p99    CPU"
)


def ratio_of(figure: Figure, samples: Sequence[Sample], beside: Sequence[Sample]) -> float:
    return ratio([figure(sample) for sample in samples], [figure(sample) for sample in beside])


def rows(results: Results, reference: str) -> list[str]:
    found = [_TITLE]
    for case, sides in results.items():
        for number, (name, samples) in enumerate(sides.items()):
            beside = sides[reference] if name != reference else None
            found.append(f"{'' if number else case!s:{len(_CASE)}}   {name:24}{_figures(samples, beside)}")
            found += _failures(samples)
    return found


def _figures(samples: Sequence[Sample], beside: Sequence[Sample] | None) -> str:
    calls = Spread.of([rate(sample) for sample in samples])
    spread = f"({calls.lowest:,.0f} - {calls.highest:,.0f})"
    others = [
        Spread.of([figure(sample) for sample in samples]).middle for figure in (p50, p99, cpu, _supervisor)
    ]
    figures = f"{calls.middle:9,.0f} {spread:19}" + "".join(f"{each:9,.0f}" for each in others)
    if beside is None:
        return figures
    ratios = [ratio_of(figure, samples, beside) for figure in FIGURES]
    return figures + " " * 11 + "".join(f"{each:6.2f}x" for each in ratios)


def _supervisor(sample: Sample) -> float:
    return sample.supervisor


def _failures(samples: Sequence[Sample]) -> list[str]:
    """None, one hopes: a rate is that of answered calls."""
    failed, calls = sum(each.told.failed for each in samples), sum(each.told.calls for each in samples)
    if not failed:
        return []
    errors: dict[str, int] = {}
    for sample in samples:
        for code, count in sample.told.errors.items():
            errors[code] = errors.get(code, 0) + count
    told = ", ".join(f"{code} {count:,}" for code, count in sorted(errors.items()))
    return [f"{'':{len(_CASE)}}   failed of {calls:,} calls: {told}"]
