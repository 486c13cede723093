"""One system's dashboard: what Grafana's schema, the plan and a reader at night ask of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dashboard_systems import (
    RUNBOOKS,
    checkout,
    every_panel,
    function,
    metrics_planned,
    metrics_read,
    panel,
    panels,
    queues,
)
from grafana_types import problems

from tocsin.alarm import Alarm
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.declare import discover, override
from tocsin.errors import PlanError, QuotaError
from tocsin.model import Resource, Severity, System
from tocsin.plan import Settings, plan
from tocsin.render.dashboard_lint import lint
from tocsin.render.dashboard_lint.query_rules import missing_keys
from tocsin.render.dashboards import slo_overview, system_dashboard, to_json

PLANS = {
    "promises": checkout(),
    "no promises": plan(System("bare", "payments", (function("Only"),))),
    "nothing": plan(System("empty", "payments", ())),
    "queues": queues(),
    "many": checkout(*(function(f"Part{number}") for number in range(30))),
}
for template in sorted(Path(__file__).parents[2].glob("deploy/*/template.yaml")):
    PLANS[template.parent.name] = plan(System(template.parent.name, "platform", discover(template)))
DASHBOARDS = {name: system_dashboard(planned) for name, planned in PLANS.items()}


@pytest.fixture(params=list(PLANS))
def case(request):
    return PLANS[request.param], DASHBOARDS[request.param]


def test_grafanas_own_types_accept_every_key_and_value(case):
    assert problems(case[1]) == []


@pytest.mark.parametrize(
    ("spoil", "seen"),
    [
        (lambda item: item.update(cacheTimeout=None), "cacheTimeout"),
        (lambda item: item["fieldConfig"]["defaults"]["thresholds"]["steps"][0].update(value="null"), "'null'"),
        (lambda item: item["links"][0].update(uri="x"), "uri"),
        (lambda item: item["options"].update(graphMode="colourful"), "colourful"),
        (lambda item: item["targets"][0].update(metricQueryType="metrics"), "metrics"),
    ],
)
def test_the_check_with_grafanas_types_is_strict(spoil, seen):
    dashboard = json.loads(to_json(DASHBOARDS["promises"]))
    spoil(dashboard["panels"][0])

    assert any(seen in text for text in problems(dashboard))


def test_no_lint_rule_has_anything_to_say(case):
    assert lint(case[1], known_uids={"tocsin-slo-overview"}) == ()


def test_grafana_drops_no_query(case):
    for item in panels(case[1]):
        for target in item["targets"]:
            assert missing_keys(target) == []
            assert target["statistic"]


def test_every_metric_is_one_of_the_plan(case):
    assert metrics_read(case[1]) <= metrics_planned(case[0])


def test_every_planned_graph_is_shown(case):
    planned, dashboard = case
    shown = [item["title"] for item in panels(dashboard)]
    for group in planned.panels:
        for item in group.panels:
            assert item.title in shown


def test_thresholds_are_those_of_the_alarms():
    planned, dashboard = PLANS["promises"], DASHBOARDS["promises"]
    for logical_id, kind, title in (
        ("Orders", "lambda-function-duration", "How close to the timeout"),
        ("Orders", "lambda-function-concurrency", "How many run at once"),
        ("Billing", "lambda-function-duration", "How close to the timeout"),
    ):
        (alarm,) = [
            item.alarm.threshold
            for item in planned.alarms
            if item.resource == logical_id and item.kind == kind and isinstance(item.alarm, Alarm)
        ]
        item = panel(dashboard, title, row=logical_id)
        steps = item["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [step["value"] for step in steps] == [None, alarm]
        assert [step["color"] for step in steps] == ["transparent", "orange"]


def test_every_alarm_on_one_statistic_is_a_line_in_the_graphs_of_its_kind(case):
    planned, dashboard = case
    for group in planned.panels:
        for item in group.panels:
            alarms = [
                (entry.alarm.threshold, entry.alarm.queries[0].stat)
                for entry in planned.alarms
                if entry.resource == group.resource.logical_id
                and entry.kind in item.alarm_kinds
                and isinstance(entry.alarm, Alarm)
                and len(entry.alarm.queries) == 1
            ]
            shown = panel(dashboard, item.title, row=f"{group.resource.logical_id} ")
            values = {step["value"] for step in shown["fieldConfig"]["defaults"]["thresholds"]["steps"]}
            # "More than 0" of things that are counted is 1: a line at 0 would lie on the axis.
            counted = item.unit == "short"
            assert {threshold or (1 if counted else 0) for threshold, _ in alarms} <= values
            for _, stat in alarms:
                for target in shown["targets"]:
                    # A sum over an hour cannot be held against the threshold of a sum over five minutes.
                    if (target["metricName"], target["statistic"]) == (stat.metric.name, "Sum"):
                        assert target["period"] == str(stat.period)


def test_a_promise_is_green_from_its_objective_on():
    item = panel(DASHBOARDS["promises"], "Attained, 28 d")
    steps = {
        override["matcher"]["options"]: entry["value"]["steps"]
        for override in item["fieldConfig"]["overrides"]
        for entry in override["properties"]
        if entry["id"] == "thresholds"
    }
    labels = {target["refId"]: target["label"] for target in item["targets"] if target["label"]}

    assert {labels[identifier]: value for identifier, value in steps.items()} == {
        "Orders-availability (99.9 %)": [{"color": "red", "value": None}, {"color": "green", "value": 99.9}],
        "Orders-latency (99 %)": [{"color": "red", "value": None}, {"color": "green", "value": 99.0}],
    }


def test_a_persons_threshold_moves_the_line_and_a_page_is_red():
    resource = function("Orders", Timeout=10)
    change = override(
        "lambda-function-duration", resource, because="the cash desk waits", threshold=1234.0, severity=Severity.PAGE
    )
    dashboard = system_dashboard(plan(System("shop", "payments", (resource,), overrides=[change])))

    steps = panel(dashboard, "How close to the timeout")["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [{"color": "transparent", "value": None}, {"color": "red", "value": 1234.0}]
    assert "the cash desk waits" in panel(dashboard, "How close to the timeout")["description"]


def test_a_switched_off_alarm_has_no_line():
    resource = function("Orders", Timeout=10)
    change = override("lambda-function-duration", resource, because="batch work", enabled=False)
    dashboard = system_dashboard(plan(System("shop", "payments", (resource,), overrides=[change])))

    custom = panel(dashboard, "How close to the timeout")["fieldConfig"]["defaults"]["custom"]
    assert custom["thresholdsStyle"] == {"mode": "off"}


def test_burn_rate_lines_are_the_tiers():
    planned, dashboard = PLANS["promises"], DASHBOARDS["promises"]
    slo = planned.slos[0]
    steps = panel(dashboard, f"{slo.slo.name}: how fast")["fieldConfig"]["defaults"]["thresholds"]["steps"]

    assert [step["value"] for step in steps[1:]] == sorted({float(tier.burn_rate) for tier in slo.tiers})
    for tier in slo.tiers:
        colors = [step["color"] for step in steps if step["value"] == float(tier.burn_rate)]
        assert colors == ["red" if tier.severity is Severity.PAGE else "orange"]
        window = planned[f"OrdersAvailabilityBurn{_hours(tier.long_window)}Long"].alarm
        assert isinstance(window, Alarm)
        assert window.threshold == pytest.approx(float(tier.burn_rate * slo.slo.error_budget))


def _hours(window):
    hours = window.total_seconds() / 3600
    return f"{hours:g}h" if hours < 24 else f"{hours / 24:g}d"


def test_a_new_resource_leaves_every_panel_id_as_it_is():
    before = {_key(item): item["id"] for item in _keyed(DASHBOARDS["promises"])}
    after = {_key(item): item["id"] for item in _keyed(system_dashboard(checkout(function("Another"))))}

    assert before.items() <= after.items()
    assert len(after) > len(before)


def _keyed(dashboard):
    row = ""
    for item in every_panel(dashboard):
        row = item["title"] if item["type"] == "row" else row
        yield {**item, "row": row}


def _key(item):
    return item["row"], item["title"]


def test_ids_are_unique_and_positive(case):
    ids = [item["id"] for item in every_panel(case[1])]
    assert len(ids) == len(set(ids))
    assert all(0 < number < 2**31 for number in ids)


def test_the_same_plan_gives_the_same_bytes_under_any_hash_seed():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from dashboard_systems import checkout\n"
        "from tocsin.render.dashboards import *\n"
        "sys.stdout.write(to_json(system_dashboard(checkout())) + to_json(slo_overview([checkout()])))"
    )
    expected = to_json(DASHBOARDS["promises"]) + to_json(slo_overview([checkout()]))
    for seed in ("0", "4711"):
        run = subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).parent)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        )
        assert run.stdout.decode() == expected


def test_the_text_is_what_the_standard_library_writes(case):
    text = to_json(case[1])
    assert text == json.dumps(case[1], indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert json.loads(text) == case[1]


def test_only_so_many_panels_are_open_and_the_rest_waits_in_collapsed_rows():
    dashboard = DASHBOARDS["many"]
    opened = [item for item in dashboard["panels"] if item["type"] != "row"]
    rows = [item for item in dashboard["panels"] if item["type"] == "row"]

    assert 0 < len(opened) <= 20
    assert any(row["collapsed"] and row["panels"] for row in rows)
    # Six graphs of promises would leave no room for the resources: they wait, whatever comes after them.
    details, others = rows[1], [rows[0], *rows[2:]]
    assert details["title"] == "How is the error budget spent?"
    assert details["collapsed"]
    assert [row["collapsed"] for row in others] == sorted(row["collapsed"] for row in others)
    assert not others[1]["collapsed"]
    assert all(not row["panels"] for row in rows if not row["collapsed"])


def test_the_description_says_what_a_look_costs():
    opened = [item for item in DASHBOARDS["many"]["panels"] if item["type"] != "row"]
    count = sum(target["metricEditorMode"] == 0 for item in opened for target in item["targets"])
    everything = sum(
        target["metricEditorMode"] == 0 for item in panels(DASHBOARDS["many"]) for target in item["targets"]
    )

    assert f"reads {count} CloudWatch metrics, with every row open {everything};" in DASHBOARDS["many"]["description"]


def test_too_many_promises_for_one_dashboard_are_refused():
    from tocsin.declare import availability

    functions = [function(f"Part{number}") for number in range(120)]
    slos = [availability(item, objective="99.9%", window="28d") for item in functions]
    large = plan(System("large", "payments", functions, slos))

    with pytest.raises(QuotaError, match=r"dashboard tocsin-large: .*limit.*split the system"):
        system_dashboard(large)


def test_many_causes_are_split_over_several_timelines_under_cloudwatchs_limit():
    large = plan(System("large", "payments", [function(f"Part{number:03}", Timeout=9) for number in range(150)]))
    dashboard = system_dashboard(large)
    timelines = [item for item in panels(dashboard) if item["type"] == "state-timeline"]

    assert len(timelines) > 1
    assert all(len(item["targets"]) <= 500 for item in timelines)
    assert lint(dashboard, known_uids={"tocsin-slo-overview"}) == ()


def test_panels_lead_to_the_runbooks_of_their_alarms():
    item = panel(DASHBOARDS["promises"], "Are invocations failing?", row="Orders")
    assert {link["url"] for link in item["links"]} == {
        f"{RUNBOOKS}/lambda-function-errors.md",
        f"{RUNBOOKS}/lambda-function-throttles.md",
    }


def test_without_an_address_the_runbooks_are_named_in_the_text():
    dashboard = system_dashboard(checkout(settings=Settings(runbooks="runbooks")))
    item = panel(dashboard, "How close to the timeout", row="Orders")

    assert item["links"] == []
    assert "Runbook: runbooks/lambda-function-duration.md." in item["description"]


def test_alarm_marks_ask_by_prefix_with_both_prefixes_given():
    (mark,) = [item for item in DASHBOARDS["promises"]["annotations"]["list"] if item["name"] == "CloudWatch alarms"]
    target = mark["target"]

    assert target["alarmNamePrefix"] == "${Environment}-checkout-"
    assert target["actionPrefix"]
    assert target["prefixMatching"] is True
    for planned in PLANS["promises"].alarms:
        assert planned.alarm.name.startswith(target["alarmNamePrefix"])


def test_it_reads_as_current_grafana_does():
    dashboard = DASHBOARDS["promises"]
    assert dashboard["schemaVersion"] == 41
    assert dashboard["graphTooltip"] == 1
    assert dashboard["uid"] == "tocsin-checkout"
    assert dashboard["editable"] is False
    assert "statistics" not in to_json(dashboard)
    for item in panels(dashboard):
        assert item["datasource"] == {"type": "cloudwatch", "uid": "${cloudwatch_datasource}"}
        assert "maxDataPoints" not in item


def test_a_graph_starts_at_zero():
    for item in panels(DASHBOARDS["queues"]) + panels(DASHBOARDS["promises"]):
        if item["type"] == "timeseries" and "error budget" not in item["title"]:
            assert item["fieldConfig"]["defaults"]["min"] == 0


def test_a_system_must_not_take_the_overviews_place():
    with pytest.raises(PlanError, match="choose another name"):
        system_dashboard(plan(System("slo-overview", "payments", ())))


def test_the_lint_rules_need_no_grafanalib():
    program = "import sys, tocsin.render.dashboard_lint; sys.exit('grafanalib' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_default_stage_of_an_http_api_is_no_variable():
    surroundings = {}
    api = Resource("AWS::ApiGatewayV2::Api", "Api", None, {"ProtocolType": "HTTP"}, surroundings=surroundings)
    properties = {"ApiId": Symbolic("${Api}"), "StageName": "$default"}
    stage = Resource("AWS::ApiGatewayV2::Stage", "Live", "$default", properties, surroundings=surroundings)
    surroundings.update(Api=api, Live=stage)

    dashboard = system_dashboard(plan(System("web", "team", [api, stage])))

    assert '"$default"' in to_json(dashboard)
    assert lint(dashboard) == ()
