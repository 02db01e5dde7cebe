"""Pure: comparing what was measured in turns, so that each round's noise hits all that are compared."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    middle: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


def ratio(measured: Sequence[float], beside: Sequence[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(one / other for one, other in zip(measured, beside, strict=True))


def in_turns(rounds: int, works: Mapping[K, Callable[[], T]], *, warm_ups: int = 1) -> dict[K, list[T]]:
    """One after the other, each round beginning with the next of them; the first rounds are not counted."""
    found: dict[K, list[T]] = {name: [] for name in works}
    names = list(works)
    for number in range(-warm_ups, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            result = works[name]()
            if number >= 0:
                found[name].append(result)
    return found
