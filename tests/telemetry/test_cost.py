"""Who never scrapes pays for no metrics library: it is loaded at the first scrape."""

import subprocess
import sys

from tests.reference import CHECKOUT

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
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(use=use)],
        cwd=CHECKOUT,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_what_writes_metrics_is_loaded_at_the_first_scrape() -> None:
    assert not imported() & LATE
    assert "prometheus_client" in imported("from appliance.service.metrics import rendering")
