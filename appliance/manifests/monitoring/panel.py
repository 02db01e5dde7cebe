"""What a panel of the dashboard is: what is asked, how it is shown, what it tells."""

from dataclasses import dataclass
from enum import StrEnum

# Grafana's own window: four scrapes at the least, and as wide as a pixel.
RATE = "[$__rate_interval]"


class Form(StrEnum):
    """Grafana's names for how a panel looks."""

    STATES = "state-timeline"
    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"


@dataclass(frozen=True)
class Query:
    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """*width* is of 24; *mapped* shows a value as words, *empty* says when there is rightly no answer."""

    title: str
    form: Form
    queries: tuple[Query, ...]
    tells: str
    unit: str = "short"
    width: int = 12
    stacked: bool = False
    mapped: tuple[tuple[str, str], ...] = ()
    empty: str = ""


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]
