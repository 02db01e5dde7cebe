"""What there is to measure, by name and in the page's order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import boot, container, engines, kms, memory, metrics, outage, rotation, slots, starts, usage
from tests.bench.page.written import Picture


@dataclass(frozen=True)
class Measured:
    rows: list[str]
    draw: Callable[[Path], list[Picture]] = lambda _place: []


@dataclass(frozen=True)
class Section:
    title: str
    measure: Callable[[], Measured]
    slow: bool = False  # measured when it is named, or all is


def sections(root: Path, *, rounds: int, boots: int, whole: bool) -> dict[str, Section]:
    def calls() -> Measured:
        results = kms.measured(root / "kms", rounds, whole=whole)

        def draw(place: Path) -> list[Picture]:
            from tests.bench.page import drawing

            return drawing.kms(results, place)

        return Measured(kms.rows(results, rounds), draw)

    def api_server() -> Measured:
        results = starts.measured(root / "starts", starts.MANY if whole else starts.FEW, rounds)

        def draw(place: Path) -> list[Picture]:
            from tests.bench.page import drawing

            return drawing.api_server(results, place)

        return Measured(starts.rows(results), draw)

    many = memory.MANY if whole else memory.FEW
    return {
        "kms": Section("Calls", calls),
        "starts": Section("The API server's start", api_server),
        "boot": Section("Boot", lambda: Measured(boot.table(*boot.boots(root, boots)))),
        "memory": Section("Memory", lambda: Measured(memory.table(root / "memory", many))),
        "metrics": Section("Counting calls", lambda: Measured(metrics.table(rounds))),
        "rotation": Section("Change of keys", lambda: Measured(rotation.table(root))),
        "container": Section("In the image", lambda: Measured(container.table(many))),
        "slots": Section(
            "Ways into the seal", lambda: Measured(slots.table(root / "slots", rounds)), slow=True
        ),
        "usage": Section("Counting what is stored", lambda: Measured(usage.table(root)), slow=True),
        "engines": Section("Other engines", lambda: Measured(engines.table(root)), slow=True),
        "outage": Section("Transit away", lambda: Measured(outage.table(root)), slow=True),
    }
