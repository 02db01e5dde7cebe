"""Rules as Prometheus reads them, and as its operator does: one text, twice."""

import json
from collections.abc import Iterator

from appliance.manifests.monitoring import api_servers, kept, keys, serving
from appliance.manifests.monitoring.alert import Alert, Recording

ALERTS = (*serving.ALERTS, *keys.ALERTS, *kept.ALERTS, *api_servers.ALERTS)
RECORDINGS = keys.RECORDINGS

_HEAD = (
    "# Written by `kleidi manifests monitoring`. What each alert tells and asks for: docs/monitoring.md.\n"
)
_OPERATOR = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: kleidi
spec:
"""


def plain() -> str:
    """For `rule_files` of a Prometheus."""
    return _HEAD + _indented(_groups(), "")


def operators() -> str:
    """For the Prometheus operator."""
    return _HEAD + _OPERATOR + _indented(_groups(), "  ")


def _groups() -> Iterator[str]:
    yield "groups:"
    yield "- name: kleidi"
    yield "  rules:"
    # In front: within a group, rules are evaluated in their order.
    for recording in RECORDINGS:
        yield from _recording(recording)
    for alert in ALERTS:
        yield from _alert(alert)


def _recording(recording: Recording) -> Iterator[str]:
    yield f"  # {recording.tells}"
    yield f"  - record: {recording.name}"
    yield from _expression(recording.expression)


def _alert(alert: Alert) -> Iterator[str]:
    yield f"  - alert: {alert.name}"
    yield from _expression(alert.expression)
    if alert.hold:
        yield f"    for: {alert.hold}"
    yield f"    labels: {{severity: {alert.severity}}}"
    yield "    annotations:"
    yield f"      summary: {_quoted(alert.summary)}"
    yield f"      description: {_quoted(alert.description)}"
    yield f"      runbook_url: {_quoted(alert.runbook)}"


def _expression(text: str) -> Iterator[str]:
    yield "    expr: |-"
    for line in text.splitlines():
        yield f"      {line}"


def _quoted(text: str) -> str:
    """A string of JSON is one of YAML, whatever stands in it."""
    return json.dumps(text, ensure_ascii=False)


def _indented(lines: Iterator[str], by: str) -> str:
    return "".join(f"{by}{line}\n" for line in lines)
