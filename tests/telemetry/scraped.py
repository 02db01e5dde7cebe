"""What a scrape gives, read by the library's own parser."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.service.asked import get

Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Scraped:
    text: str

    @classmethod
    def of(cls, socket: Path) -> "Scraped":
        status, text = get(socket, "/metrics")
        assert status == 200, text
        return cls(text)

    @cached_property
    def series(self) -> Mapping[Series, float]:
        """Each once, by name and labels."""
        found: dict[Series, float] = {}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                series = sample.name, tuple(sorted(sample.labels.items()))
                assert series not in found
                found[series] = sample.value
        return found

    @property
    def names(self) -> list[str]:
        """Every metric that is told of, with samples or without."""
        return [line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE ")]

    def of_name(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [(dict(labels), value) for (each, labels), value in self.series.items() if each == name]

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample with these labels among its own; None where there is none."""
        found = [value for told, value in self.of_name(name) if labels.items() <= told.items()]
        assert len(found) <= 1, f"{name} {labels}: {len(found)} samples"
        return found[0] if found else None
