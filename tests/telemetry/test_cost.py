"""Who never scrapes pays for no metrics library: it is loaded at the first scrape."""

from tests.unit import imports

_PROGRAM = """
import sys
import appliance.__main__
from appliance import assembly
from appliance.service import health
from appliance.service.metrics.kept import Shelf
from appliance.service.metrics.scrape import Scrape
{use}
print(" ".join(sorted(sys.modules)))
"""
LATE = {"prometheus_client", "appliance.service.metrics.rendering", "appliance.service.metrics.process"}


def imported(use: str = "") -> set[str]:
    return imports.imported(_PROGRAM.format(use=use))


def test_what_writes_metrics_is_loaded_at_the_first_scrape() -> None:
    assert not imported() & LATE
    assert "prometheus_client" in imported("from appliance.service.metrics import rendering")
