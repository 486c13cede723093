"""Every lint rule has an example that fails and one that passes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from dashboard_systems import checkout

from tocsin.render.dashboard_lint import RULES, lint, rule_texts
from tocsin.render.dashboards import system_dashboard

GOOD = system_dashboard(checkout())
KNOWN = {"tocsin-slo-overview"}
PROMETHEUS = {"type": "datasource", "name": "prometheus_datasource", "label": "Prometheus data source"}


def tile(dashboard: dict[str, Any]) -> dict[str, Any]:
    return dashboard["panels"][0]


def graph(dashboard: dict[str, Any]) -> dict[str, Any]:
    return next(
        panel
        for panel in dashboard["panels"]
        if panel["type"] == "timeseries"
        and panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "line"
    )


def timeline(dashboard: dict[str, Any]) -> dict[str, Any]:
    return next(panel for panel in dashboard["panels"] if panel["type"] == "state-timeline")


def metric(dashboard: dict[str, Any]) -> dict[str, Any]:
    return tile(dashboard)["targets"][0]


def math(dashboard: dict[str, Any]) -> dict[str, Any]:
    return next(target for target in tile(dashboard)["targets"] if target["metricEditorMode"] == 1)


def variable(dashboard: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in dashboard["templating"]["list"] if item["name"] == name)


def steps(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return graph(dashboard)["fieldConfig"]["defaults"]["thresholds"]["steps"]


def insights(dashboard: dict[str, Any]) -> None:
    tile(dashboard)["timeFrom"] = "28d"
    metric(dashboard).update(metricQueryType=1, metricEditorMode=1, sqlExpression="SELECT SUM(Errors) FROM x")


def five_hundred(dashboard: dict[str, Any]) -> None:
    tile(dashboard)["targets"] = [
        {**metric(dashboard), "refId": f"m{number}", "id": f"m{number}"} for number in range(501)
    ]


MISTAKES = [
    ("template-datasource-rule", lambda d: variable(d, "cloudwatch_datasource").update(label="Source"), "labelled"),
    ("template-datasource-rule", lambda d: d["templating"]["list"].insert(0, {**PROMETHEUS, "name": "prom", "query": "prometheus"}), "called"),
    ("template-datasource-rule", lambda d: d["templating"].update(list=[]), "one server only"),
    ("panel-datasource-rule", lambda d: tile(d).update(datasource={"type": "cloudwatch", "uid": "P123"}), "P123"),
    ("panel-title-description-rule", lambda d: tile(d).update(description=" "), "no description"),
    ("panel-units-rule", lambda d: graph(d)["fieldConfig"]["defaults"].update(unit="furlong"), "furlong"),
    ("panel-units-rule", lambda d: graph(d)["fieldConfig"]["defaults"].pop("unit"), "no unit"),
    ("panel-no-targets-rule", lambda d: tile(d).update(targets=[]), "no query"),
    ("template-on-time-change-reload-rule", lambda d: variable(d, "region").update(refresh=1), "'region'"),
    ("uneditable-dashboard", lambda d: d.pop("editable"), "editable"),
    ("schema-version", lambda d: d.update(schemaVersion=12), "12"),
    ("uid-length", lambda d: d.update(uid="u" * 41), "40"),
    ("panel-id", lambda d: tile(d).update(id=d["panels"][1]["id"]), "as 'Burn rate, 1 h (28 d)' has"),
    ("panel-id", lambda d: tile(d).update(id=None), "no id"),
    ("grid-bounds", lambda d: graph(d)["gridPos"].update(x=20), "24 columns"),
    ("grid-overlap", lambda d: graph(d)["gridPos"].update(y=0, x=0), "covers"),
    ("variable-undefined", lambda d: tile(d).update(title="Of $nobody"), "'nobody'"),
    ("variable-undefined", lambda d: d.update(title="[[nowhere]]"), "'nowhere'"),
    ("variable-unused", lambda d: d["templating"]["list"].append({"type": "textbox", "name": "idle"}), "'idle'"),
    ("target-incomplete", lambda d: metric(d).update(metricName=""), "metricName"),
    ("target-incomplete", lambda d: metric(d).pop("metricQueryType"), "metricQueryType"),
    ("target-incomplete", lambda d: metric(d).pop("region"), "region"),
    ("target-incomplete", lambda d: math(d).update(expression=""), "expression"),
    ("target-statistic", lambda d: metric(d).update(statistics=["Average"]), "statistics"),
    ("target-statistic", lambda d: math(d).update(statistic=""), "even for math"),
    ("target-id", lambda d: math(d).update(refId=metric(d)["refId"]), "used 2 times"),
    ("target-id", lambda d: metric(d).update(id="Sum of it"), "lower-case"),
    ("math-unknown-id", lambda d: math(d).update(expression="100 * nobody"), "'nobody'"),
    ("expression-length", lambda d: math(d).update(expression="1+" * 1024 + "1"), "2049"),
    ("timeline-pages", lambda d: timeline(d)["options"].update(perPage=2), "2 a page"),
    ("legend-shown", lambda d: graph(d)["options"]["legend"].pop("showLegend"), "showLegend"),
    ("dimension-empty", lambda d: metric(d).update(dimensions={"FunctionName": ["${OrdersName}"]}), "'OrdersName'"),
    ("too-many-queries", five_hundred, "501"),
    ("insights-range", insights, "28"),
    ("threshold-steps", lambda d: steps(d)[0].update(value="null"), "null"),
    ("threshold-steps", lambda d: steps(d).append({"color": "red", "value": "80"}), "no number"),
    ("threshold-steps", lambda d: steps(d).append({"color": "red", "value": -1e9}), "rise"),
    ("link-unknown-dashboard", lambda d: d["links"][1].update(url="/d/tocsin-gone?x=1"), "tocsin-gone"),
    ("panel-runbook", lambda d: graph(d).update(links=[], description="A line."), "runbook"),
]  # fmt: skip


def test_a_generated_dashboard_has_no_finding():
    assert lint(GOOD, KNOWN) == ()


@pytest.mark.parametrize(("rule", "spoil", "said"), MISTAKES)
def test_a_mistake_is_found(rule, spoil, said):
    dashboard = copy.deepcopy(GOOD)
    spoil(dashboard)
    found = [finding for finding in lint(dashboard, KNOWN) if finding.rule == rule]

    assert found
    assert any(said in finding.message for finding in found), found


def test_every_rule_has_an_example():
    assert {rule for rule, _, _ in MISTAKES} == set(RULES)


def test_every_rule_says_what_it_wants():
    assert all(text.endswith(".") or "." in text or ":" in text for text in rule_texts().values())
    assert all(rule_texts().values())


def test_links_are_not_judged_when_nobody_says_what_exists():
    assert lint(GOOD) == ()


def test_a_minimal_dashboard_of_somebody_else_is_judged_without_a_crash():
    assert {finding.rule for finding in lint({})} >= {"uid-length", "uneditable-dashboard"}
    assert lint({"panels": [{"type": "timeseries"}]})


def test_metrics_insights_within_two_weeks_is_fine():
    dashboard = copy.deepcopy(GOOD)
    insights(dashboard)
    tile(dashboard)["timeFrom"] = "14d"

    assert "insights-range" not in {finding.rule for finding in lint(dashboard, KNOWN)}


def test_our_units_are_grafanas():
    from grafana_foundation_sdk.models import units as theirs

    from tocsin.render.dashboard_lint.units import UNITS, is_unit

    known = {value for name, value in vars(theirs).items() if isinstance(value, str) and not name.startswith("_")}
    assert known == UNITS
    assert is_unit("suffix: messages")
    assert not is_unit("messages")
