"""The dashboard: what Grafana needs, without overlaps, and every expression names what there is."""

import json
from pathlib import Path

import pytest
import yaml

from appliance.manifests.monitoring import dashboard, rules, serving
from appliance.manifests.monitoring.panel import Panel
from appliance.service.standing import State
from tests.monitoring import promtool
from tests.monitoring.series import wrong

RECORDED = {each.name for each in rules.RECORDINGS}
PANELS = [panel for row in dashboard.ROWS for panel in row.panels]
MADE = json.loads(dashboard.text())
every_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)


def test_each_has_an_id_and_a_title_of_its_own() -> None:
    for what in ("id", "title"):
        found = [each[what] for each in MADE["panels"]]
        assert len(found) == len(set(found)) == len(PANELS) + len(dashboard.ROWS)


def test_none_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for each in MADE["panels"]:
        place = each["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not covered & taken
        taken |= covered


def test_it_asks_whichever_prometheus_is_chosen() -> None:
    [source] = MADE["templating"]["list"]
    assert source["type"] == "datasource"
    asked = [each["datasource"] for panel in MADE["panels"] for each in panel.get("targets", ())]
    assert asked
    assert all(each == {"type": "prometheus", "uid": f"${{{source['name']}}}"} for each in asked)


@every_panel
def test_it_names_series_and_labels_that_there_are(panel: Panel) -> None:
    assert [bad for each in panel.queries for bad in wrong(each.expression, RECORDED)] == []


@every_panel
def test_it_is_shown_with_all_its_queries_and_says_what_it_tells(panel: Panel) -> None:
    [made] = (each for each in MADE["panels"] if each["title"] == panel.title)
    assert [each["expr"] for each in made["targets"]] == [each.expression for each in panel.queries]
    assert made["description"] == panel.tells
    assert panel.tells.endswith(".")


def test_every_expression_is_one(tmp_path: Path) -> None:
    """Prometheus reads them all, as recording rules."""
    asked = [each.expression for panel in PANELS for each in panel.queries]
    recordings = [
        {"record": f"asked:{number}", "expr": each.replace("$__rate_interval", "5m")}
        for number, each in enumerate(asked)
    ]
    text = yaml.safe_dump({"groups": [{"name": "asked", "rules": recordings}]})
    assert promtool.check_text(tmp_path, text)


def test_each_state_has_a_number_and_a_name() -> None:
    assert set(serving.STATES) == set(State)
