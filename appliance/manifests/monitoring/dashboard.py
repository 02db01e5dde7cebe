"""The dashboard as Grafana imports it."""

import json
from collections.abc import Iterator
from typing import Any

from appliance.manifests.monitoring import api_servers, kept, keys, serving
from appliance.manifests.monitoring.panel import Form, Panel, Row

# From what people under stress ask first to what can wait.
ROWS = (serving.WELL, api_servers.API_SERVERS, keys.KEYS, serving.CALLS, kept.KEPT)

Json = dict[str, Any]

# Grafana 10's; newer ones bring it up to date themselves.
_SCHEMA = 38
_COLUMNS = 24
_HEIGHT = 8
# Chosen when it is imported, or on the page itself.
_SOURCE = {"type": "prometheus", "uid": "${source}"}


def text() -> str:
    return json.dumps(_dashboard(), indent=1, ensure_ascii=False) + "\n"


def _dashboard() -> Json:
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "kleidi",
        "title": "Kleidi",
        "description": "Written by `kleidi manifests monitoring`; see docs/monitoring.md.",
        "tags": ["kms", "kubernetes"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [{"id": number, **each} for number, each in enumerate(_placed(), 1)],
    }


def _placed() -> Iterator[Json]:
    """Rows one below the other, panels from left to right."""
    top = 0
    for row in ROWS:
        yield _heading(row, top)
        left, top = 0, top + 1
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                left, top = 0, top + _HEIGHT
            yield _panel(panel, {"x": left, "y": top, "w": panel.width, "h": _HEIGHT})
            left += panel.width
        top += _HEIGHT


def _heading(row: Row, top: int) -> Json:
    place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
    return {"type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, place: Json) -> Json:
    made = {
        "type": panel.form.value,
        "title": panel.title,
        "description": panel.tells,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [*_targets(panel)],
        "fieldConfig": {"defaults": _shown(panel), "overrides": []},
    }
    return made | ({"transformations": [{"id": "merge", "options": {}}]} if panel.form is Form.TABLE else {})


def _targets(panel: Panel) -> Iterator[Json]:
    # Of a table and a number only the last answer is shown, so only that is asked for.
    instant = panel.form in (Form.TABLE, Form.NUMBER)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        yield {
            "refId": letter,
            "datasource": _SOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "instant": instant,
            "range": not instant,
            "format": "table" if panel.form is Form.TABLE else "time_series",
        }


def _shown(panel: Panel) -> Json:
    shown: Json = {"unit": panel.unit}
    if panel.mapped:
        options = {value: {"text": words} for value, words in panel.mapped}
        shown["mappings"] = [{"type": "value", "options": options}]
    if panel.stacked:
        shown["custom"] = {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}}
    return shown
