"""Pure: what is to be reached, beside what was. Never asserted: it says nothing without its machine."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.kms.case import BUSY, CIPHERS, MANY_KEYS, ONE, STORM, Case, Results
from tests.bench.kms.table import Figure, cpu, p50, p99, rate, ratio_of


@dataclass(frozen=True)
class Goal:
    """*least* or most a ratio should be; None where the run has not what it is made of."""

    words: str
    reached: float | None
    least: bool
    bound: float

    def __str__(self) -> str:
        sign = ">=" if self.least else "<="
        if self.reached is None:
            return f"  {self.words:64} {'-':>9}    {sign} {self.bound:.2f}x"
        holds: Callable[[float, float], bool] = operator.ge if self.least else operator.le
        verdict = "reached" if holds(self.reached, self.bound) else "missed"
        return f"  {self.words:64} {self.reached:8.2f}x    {sign} {self.bound:.2f}x   {verdict}"


def rows(results: Results, ours: str, reference: str) -> list[str]:
    title = f"goals of {ours}"
    return [f"{title:66} {'measured':>9}   aim", *(str(goal) for goal in goals(results, ours, reference))]


def goals(results: Results, ours: str, reference: str) -> Iterator[Goal]:
    def beside(figure: Figure, case: Case) -> float | None:
        sides = results.get(case, {})
        if ours not in sides or reference not in sides:
            return None
        return ratio_of(figure, sides[ours], sides[reference])

    def within(figure: Figure, case: Case, other: Case) -> float | None:
        one, two = (results.get(each, {}).get(ours) for each in (case, other))
        return None if one is None or two is None else ratio_of(figure, one, two)

    for method in CIPHERS:
        one, busy, storm = (Case(method, *shape) for shape in (ONE, BUSY, STORM))
        yield Goal(f"{method}, 16 callers: calls/s", beside(rate, busy), least=True, bound=1.3)
        yield Goal(f"{method}, one caller: p50", beside(p50, one), least=False, bound=0.85)
        for case, whose in ((one, "one caller"), (busy, "16 callers")):
            yield Goal(f"{method}, {whose}: p99", beside(p99, case), least=False, bound=1.0)
            yield Goal(f"{method}, {whose}: CPU a call", beside(cpu, case), least=False, bound=0.7)
        words = f"{method}: calls/s of 64 callers on 16 connections to 16 on one"
        yield Goal(words, within(rate, storm, busy), least=True, bound=0.9)
    for method in (*CIPHERS, "Status"):
        many, one = Case(method, *BUSY, MANY_KEYS), Case(method, *BUSY)
        words = f"{method}, 16 callers: calls/s with {MANY_KEYS:,} keys to those with one"
        yield Goal(words, within(rate, many, one), least=True, bound=0.97)
    status = Case("Status", *BUSY)
    yield Goal("Status, 16 callers: calls/s", beside(rate, status), least=True, bound=1.2)
