"""The rules: sound by Prometheus' own tool, each tested, about series that there are, with a way out."""

import json
import re
from pathlib import Path

import pytest

from appliance import faults
from appliance.manifests.monitoring import rules, serving
from appliance.manifests.monitoring.alert import Alert, Severity
from tests.docs.pages import CHECKOUT, anchors
from tests.install.texts import read
from tests.monitoring import promtool
from tests.monitoring.series import OURS, named, wrong

RECORDED = {each.name for each in rules.RECORDINGS}
every_alert = pytest.mark.parametrize("alert", rules.ALERTS, ids=lambda alert: alert.name)

ONE_SEALED = """\
rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
- interval: 30s
  input_series:
  - {series: 'kleidi_state{job="kleidi",instance="a",state="OPERATIONAL"}', values: '0x20'}
  - {series: 'kleidi_reason{job="kleidi",instance="a",id="E-SEAL-KEY-MISSING"}', values: '1x20'}
  alert_rule_test:
  - eval_time: 5m
    alertname: KleidiNotServing
    exp_alerts:
    - exp_labels: {severity: critical, job: kleidi, instance: a, id: E-SEAL-KEY-MISSING}
      exp_annotations:
"""


def test_they_are_rules(tmp_path: Path) -> None:
    assert f"{len(rules.ALERTS) + len(rules.RECORDINGS)} rules found" in promtool.check(tmp_path)


def test_they_fire_when_they_should_and_not_else(tmp_path: Path) -> None:
    assert "SUCCESS" in promtool.unit_tests(tmp_path)


def test_what_an_alert_says_is_filled_in(tmp_path: Path) -> None:
    [alert] = (each for each in serving.ALERTS if each.name == "KleidiNotServing")
    said = {
        "summary": "a: E-SEAL-KEY-MISSING, no call is answered",
        "description": alert.description,
        "runbook_url": "docs/errors.md#e-seal-key-missing",
    }
    cases = ONE_SEALED + "".join(f"        {name}: {json.dumps(words)}\n" for name, words in said.items())
    assert "SUCCESS" in promtool.run_cases(tmp_path, rules.plain(), cases)


@every_alert
def test_each_is_seen_to_fire_and_to_be_quiet(alert: Alert) -> None:
    tested = [
        each
        for case in promtool.cases()
        for each in case.get("alert_rule_test", ())
        if each["alertname"] == alert.name
    ]
    assert [each for each in tested if each["exp_alerts"]]
    # Without a hold, each of these has a second series or moment in its case that must not fire.
    assert not alert.hold or alert.name == "KleidiSlow" or len(tested) > 1 or "Volume" in alert.name


@every_alert
def test_it_names_series_and_labels_that_there_are(alert: Alert) -> None:
    assert named(alert.expression)
    assert [*wrong(alert.expression, RECORDED)] == []


def test_what_is_recorded_is_made_of_series_that_there_are() -> None:
    assert [bad for each in rules.RECORDINGS for bad in wrong(each.expression, RECORDED)] == []


@pytest.mark.parametrize(
    ("expression", "bad"),
    [
        ("kleidi_sate == 1", ["kleidi_sate"]),
        ('sum(rate(kleidi_reason{reason="x"}[5m]))', ["kleidi_reason{'reason'}"]),
        ("sum by (node) (kleidi_state)", ["node"]),
        ('kleidi_state{state=~"A|B"} and on (instance) up', []),
    ],
)
def test_what_nobody_exports_is_seen(expression: str, bad: list[str]) -> None:
    assert [*wrong(expression, set())] == bad


@every_alert
def test_its_runbook_is_there(alert: Alert) -> None:
    page, _, anchor = alert.runbook.partition("#")
    if alert.by_id:
        assert anchor == "{{ $labels.id | toLower }}"
        [name] = {*named(alert.expression)} & {"kleidi_reason", "kleidi_call_refusals_total"}
        assert "id" in OURS[name]
    else:
        assert anchor in anchors(CHECKOUT / page)


def test_every_id_has_the_section_that_such_an_alert_points_to() -> None:
    assert {each.id.lower() for each in faults.every()} <= anchors(CHECKOUT / "docs" / "errors.md")


@every_alert
def test_it_says_what_is_wrong_where_and_what_to_do(alert: Alert) -> None:
    assert alert.tells.endswith(".")
    assert alert.act.endswith(".")
    assert "{{" not in alert.tells + alert.act
    per_node = re.search(r"\bby \(job\)|\bby \(key", alert.expression) is None
    assert ("$labels.instance" in alert.summary) == per_node or alert.name == "KleidiApiServerOnOtherKey"


def test_both_forms_hold_the_same_rules() -> None:
    operators = read(rules.operators())
    assert operators["kind"] == "PrometheusRule"
    assert operators["spec"] == read(rules.plain())


def test_whoever_is_woken_is_woken_for_what_can_hurt_a_call() -> None:
    woken = {each.name for each in rules.ALERTS if each.severity is Severity.CRITICAL}
    assert woken == {
        "KleidiDown",
        "KleidiTextfileOld",
        "KleidiNotServing",
        "KleidiProofOld",
        "KleidiUnknownKey",
        "KleidiTampered",
        "KleidiDisabledKeyAsked",
        "KleidiKeyUnreadable",
        "KleidiAuditBroken",
        "KmsPluginErrorsSeenByApiServer",
        "KmsHealthCheckFailing",
    }
