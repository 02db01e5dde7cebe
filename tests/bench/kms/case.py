"""Pure: what is measured, case by case, and what one measurement found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.caller import SEED, Told

LARGEST = 995  # bytes of plaintext; with one more the API server refuses what ours makes of it
MANY_KEYS = 1000
CIPHERS = ("Encrypt", "Decrypt")
# Callers and connections.
ONE, BUSY, STORM = (1, 1), (16, 1), (64, 16)
SHAPES = (ONE, BUSY, (16, 4), (16, 16), (64, 1), (64, 4), STORM)


@dataclass(frozen=True)
class Case:
    """*keys* are as many as ours holds. Decrypt goes round all of them; Encrypt uses the primary one."""

    method: str
    callers: int = 1
    connections: int = 1
    keys: int = 1
    size: int = SEED

    def __str__(self) -> str:
        size = "" if self.method == "Status" else f"{self.size} B"
        return f"{self.method:7} {size:>5} {self.keys:6,} {self.callers:8} {self.connections:6}"


@dataclass(frozen=True)
class Sample:
    """One round of one side. CPU is microseconds a call, of the server and of what supervises it."""

    told: Told
    cpu: float
    supervisor: float = 0.0


# By case and by the side's name, a sample for each round.
Results = Mapping[Case, Mapping[str, Sequence[Sample]]]


def short() -> list[Case]:
    """What the goals are about, and one step of each kind of growth."""
    cases = [Case(method, *shape) for method in CIPHERS for shape in _SHORT]
    cases += [Case(method, *shape, MANY_KEYS) for method in CIPHERS for shape in (ONE, BUSY)]
    cases += [Case(method, *BUSY, size=LARGEST) for method in CIPHERS]
    cases += [Case("Status", *shape) for shape in _SHORT]
    return [*cases, Case("Status", *BUSY, MANY_KEYS)]


def whole() -> list[Case]:
    return list(_whole())


_SHORT = (ONE, BUSY, (64, 1), STORM)


def _whole() -> Iterable[Case]:
    for shape in SHAPES:
        for keys in (1, MANY_KEYS):
            for method in CIPHERS:
                for size in (SEED, LARGEST):
                    yield Case(method, *shape, keys, size)
            yield Case("Status", *shape, keys)
