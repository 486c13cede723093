"""Findings that only a project can have: drift, missing runbooks, dashboards; and metrics that must be switched on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tocsin.check import Report, check_project, check_template
from tocsin.declare import availability
from tocsin.errors import DeclarationError
from tocsin.model import Resource, Slo, System
from tocsin.plan import Plan, plan
from tocsin.project import Project
from tocsin.workspace import generate, runbooks, write

READER = Resource("AWS::Lambda::Function", "Reader", None, {"Timeout": 10})


def planned(
    *slos: Slo, name: str = "shop", owner: str = "payments", resources: tuple[Resource, ...] = (READER,)
) -> Plan:
    return plan(System(name, owner, resources, slos or [availability(READER, objective="99.9%", window="28d")]))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which everything was built."""
    return build(Project(tmp_path), planned())


def build(project: Project, *plans: Plan) -> Project:
    write(project.root, [*generate(plans, project), *runbooks(plans, project)])
    return project


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.id, finding.where) for finding in report.findings]


def test_what_was_built_has_none(project: Project) -> None:
    report = check_project(project, [planned()])
    assert report.findings == ()
    # Three of each topic, two of the queue of what they could not deliver, and the one that says it is over.
    assert report.alarms == len(planned().alarms) + 2 * 3 + 3


def test_t001_a_file_that_differs(project: Project) -> None:
    path = project.root / "alarms" / "shop.yaml"
    text = path.read_text()
    path.write_text(text.replace("DatapointsToAlarm: 1\n", "DatapointsToAlarm: 2\n", 1))
    report = check_project(project, [planned()])
    assert ("T001", "alarms/shop.yaml") in found(report)
    # What is committed would be shipped, so it is what is judged: two datapoints of one can never breach.
    assert "T030" in {finding.id for finding in report.findings}
    (drift,) = [finding for finding in report.findings if finding.id == "T001"]
    assert "-      DatapointsToAlarm: 2\n+      DatapointsToAlarm: 1\n" in drift.detail
    assert {"id", "where", "message", "detail"} == set(report.as_json()["findings"][0])


def test_t002_a_file_that_is_missing(project: Project) -> None:
    (project.root / "alarms" / "shop.yaml").unlink()
    assert found(check_project(project, [planned()])) == [("T002", "alarms/shop.yaml")]


def test_t003_a_file_of_no_system(project: Project) -> None:
    build(project, planned(name="other"))
    build(project, planned())
    (project.root / "alarms" / "mine.yaml").write_text("Resources: {}\n")
    assert found(check_project(project, [planned()])) == [
        ("T003", "alarms/other.yaml"),
        ("T003", "dashboards/other.json"),
    ]


@pytest.mark.parametrize("text", ["", "{", "- 1\n", "Resources: 3\n"])
def test_an_alarm_template_beyond_reading_differs_and_no_more(text: str, project: Project) -> None:
    (project.root / "alarms" / "shop.yaml").write_text(text)
    assert found(check_project(project, [planned()])) == [("T001", "alarms/shop.yaml")]


def test_t018_a_dashboard_edited_until_it_asks_for_too_much(project: Project) -> None:
    path = project.root / "dashboards" / "shop.json"
    dashboard = json.loads(path.read_text())
    panel = next(panel for panel in dashboard["panels"] if panel.get("targets"))
    panel["targets"] = [{**panel["targets"][0], "refId": f"q{number}", "id": f"q{number}"} for number in range(501)]
    path.write_text(json.dumps(dashboard))
    assert ("T018", f"dashboards/shop.json#{panel['title']}") in found(check_project(project, [planned()]))


def test_t060_an_alarm_without_a_runbook(project: Project) -> None:
    (project.root / "runbooks" / "lambda-function-errors.md").unlink()
    assert found(check_project(project, [planned()])) == [("T060", "runbooks/lambda-function-errors.md")]


def test_t080_a_dashboard_against_the_rules(project: Project) -> None:
    path = project.root / "dashboards" / "shop.json"
    dashboard = json.loads(path.read_text())
    panel = next(panel for panel in dashboard["panels"] if panel.get("targets"))
    del panel["targets"]
    path.write_text(json.dumps(dashboard))
    report = check_project(project, [planned()])
    assert {finding.id for finding in report.findings} == {"T001", "T080"}
    assert any(finding.where == f"dashboards/shop.json#{panel['title']}" for finding in report.findings)


@pytest.mark.parametrize("value", [{"panels": 3}, {"panels": [1]}, [], "text", {}])
def test_t080_a_dashboard_of_any_shape(value: Any, project: Project) -> None:
    (project.root / "dashboards" / "shop.json").write_text(json.dumps(value))
    report = check_project(project, [planned()])
    assert ("T001", "dashboards/shop.json") in found(report)
    assert {finding.id for finding in report.findings} <= {"T001", "T080"}


def test_a_dashboard_that_is_no_json_differs_and_no_more(project: Project) -> None:
    (project.root / "dashboards" / "shop.json").write_text("{")
    assert found(check_project(project, [planned()])) == [("T001", "dashboards/shop.json")]


def test_t070_over_the_budget(project: Project) -> None:
    report = check_project(project, [planned()], budget=1)
    assert found(report) == [("T070", "--budget")]
    assert check_project(project, [planned()], budget=float(report.usd)).findings == ()


def test_quotas_are_found_not_refused(tmp_path: Path) -> None:
    """`tocsin build` refuses what AWS would; `tocsin check` says it beside everything else."""
    functions = tuple(Resource("AWS::Lambda::Function", f"F{number}", None, {"Timeout": 10}) for number in range(199))
    many = plan(System("shop", "payments", functions))
    report = check_project(Project(tmp_path), [many])
    assert found(report) == [("T010", "alarms/shop.yaml"), ("T012", "alarms/shop.yaml")]
    long = plan(System("shop", "payments", [Resource("AWS::SQS::Queue", "Q" * 220)]))
    assert {finding.id for finding in check_project(Project(tmp_path), [long]).findings} == {"T002", "T016", "T060"}


def test_owners_of_one_topic(tmp_path: Path) -> None:
    plans = [planned(name="a", owner="on-call"), planned(name="b", owner="on_call")]
    with pytest.raises(DeclarationError, match="owners 'on-call' and 'on_call' would share their topics"):
        check_project(Project(tmp_path), plans)


def test_a_function_and_a_rule_of_one_name(tmp_path: Path) -> None:
    """A dimension names what publishes the metric, whatever else has that name: the rule has no timeout."""
    path = tmp_path / "template.json"
    alarm = {
        "AlarmActions": ["t"], "Namespace": "AWS/Lambda", "MetricName": "Duration", "Statistic": "Maximum",
        "Dimensions": [{"Name": "FunctionName", "Value": "nightly"}], "Period": 300, "EvaluationPeriods": 1,
        "Threshold": 8000, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    resources = {
        "A": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
        "F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "nightly", "Timeout": 10}},
        "R": {"Type": "AWS::Events::Rule", "Properties": {"Name": "nightly", "ScheduleExpression": "rate(1 day)"}},
    }
    path.write_text(json.dumps({"Resources": resources}))
    assert check_template(path, {}).findings == ()
    resources["F"]["Properties"]["Timeout"] = 5
    path.write_text(json.dumps({"Resources": resources}))
    assert [finding.id for finding in check_template(path, {}).findings] == ["T057"]


@pytest.mark.parametrize(("opts_in", "expected"), [(False, ["T052"]), (True, [])])
def test_t052_a_metric_that_must_be_switched_on(opts_in: bool, expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    bucket: dict[str, Any] = {"BucketName": "incoming"}
    if opts_in:
        bucket["MetricsConfigurations"] = [{"Id": "EntireBucket"}]
    alarm = {
        "AlarmActions": ["t"], "Namespace": "AWS/S3", "MetricName": "5xxErrors", "Statistic": "Sum",
        "Dimensions": [{"Name": "BucketName", "Value": "incoming"}, {"Name": "FilterId", "Value": "EntireBucket"}],
        "Period": 300, "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    resources = {
        "A": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
        "B": {"Type": "AWS::S3::Bucket", "Properties": bucket},
    }
    path.write_text(json.dumps({"Resources": resources}))
    assert [finding.id for finding in check_template(path, {}).findings] == expected


def test_costs_are_by_promise_and_resource(project: Project) -> None:
    report = check_project(project, [planned()])
    assert {line.subject for line in report.costs} == {"Reader", "Reader-availability", "deliveries"}
    assert sum(line.alarms for line in report.costs) == report.alarms
