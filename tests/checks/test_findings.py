"""Each finding: a template that has it, and that nothing else is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tocsin.check import check_template
from tocsin.findings import FINDINGS

TOPIC = "arn:aws:sns:eu-west-1:111111111111:tickets"


def alarm(**changes: Any) -> dict[str, Any]:
    """A sound alarm; None takes a property away."""
    properties: dict[str, Any] = {
        "AlarmActions": [TOPIC],
        "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "FunctionName", "Value": "reader"}],
        "EvaluationPeriods": 1,
        "MetricName": "Errors",
        "Namespace": "AWS/Lambda",
        "Period": 300,
        "Statistic": "Sum",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
    }
    properties.update(changes)
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": {k: v for k, v in properties.items() if v is not None}}


def math(*queries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return alarm(
        MetricName=None, Namespace=None, Period=None, Statistic=None, Dimensions=None, Metrics=list(queries), **changes
    )


def stat(id: str, metric: str = "Errors", period: int = 300, returns: bool = False) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": "reader"}]
    return {
        "Id": id,
        "ReturnData": returns,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions},
            "Period": period,
            "Stat": "Sum",
        },
    }


def composite(rule: Any, **changes: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::CompositeAlarm",
        "Properties": {"AlarmActions": [TOPIC], "AlarmName": "both", "AlarmRule": rule, **changes},
    }


def findings(tmp_path: Path, *, budget: float | None = None, **resources: Any) -> list[tuple[str, str]]:
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"Resources": resources}))
    return [(finding.id, finding.message) for finding in check_template(path, {}, budget).findings]


FUNCTION = {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "reader", "Timeout": 10}}
DAILY = {
    "Type": "AWS::Events::Rule",
    "Properties": {"ScheduleExpression": "rate(1 day)", "Targets": [{"Id": "a", "Arn": {"Fn::GetAtt": ["F", "Arn"]}}]},
}
OF_DAILY = [{"Name": "RuleName", "Value": {"Ref": "R"}}]
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {}}
READS_QUEUE = {
    "Type": "AWS::Lambda::EventSourceMapping",
    "Properties": {"EventSourceArn": {"Fn::GetAtt": ["Q", "Arn"]}, "FunctionName": {"Ref": "F"}},
}
MANY = " OR ".join(f'ALARM("child-{number}")' for number in range(101))

CASES: list[tuple[str, dict[str, Any]]] = [
    ("T013", {"A": composite(MANY)}),
    ("T014", {"A": composite(" OR ".join(f'ALARM("{"x" * 200}-{number}")' for number in range(60)))}),
    ("T014", {"A": composite(" OR ".join(["TRUE"] * 501))}),
    ("T015", {"A": alarm(AlarmActions=[f"{TOPIC}{number}" for number in range(6)])}),
    ("T016", {"A": alarm(AlarmName="n" * 256)}),
    ("T016", {"A": alarm(AlarmName="two\nlines")}),
    ("T017", {"A": alarm(AlarmDescription="d" * 1025)}),
    ("T020", {"A": math({"Id": "e", "Expression": "m0 + " * 500 + "m0"}, stat("m0"))}),
    ("T030", {"A": alarm(DatapointsToAlarm=4, EvaluationPeriods=3)}),
    ("T031", {"A": alarm(EvaluationPeriods=289)}),
    ("T031", {"A": alarm(Period=86_400, EvaluationPeriods=8)}),
    ("T032", {"A": alarm(Period=45)}),
    ("T033", {"A": math({"Id": "e", "Expression": "bad / valid"}, stat("bad"))}),
    ("T034", {"A": math(stat("a", returns=True), stat("b", returns=True))}),
    ("T034", {"A": math(stat("a"), stat("b"))}),
    ("T036", {"A": alarm(Threshold=None)}),
    ("T037", {"A": composite('ALARM("a" AND')}),
    ("T037", {"A": composite(None)}),
    ("T038", {"A": math({"Id": "e", "Expression": "a + b"}, stat("a"), stat("b", period=60))}),
    ("T039", {"A": alarm(Statistic="p99.x")}),
    ("T039", {"A": alarm(ExtendedStatistic="p99", MetricName="Errors")}),
    ("T040", {"A": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": "{widgets: []}"}}}),
    ("T041", {"A": composite('ALARM("two")', AlarmName="one"), "B": composite('ALARM("one")', AlarmName="two")}),
    ("T042", {"A": alarm(TreatMissingData="Missing")}),
    ("T050", {"A": alarm(MetricName="Erorrs")}),
    ("T057", {"A": alarm(ComparisonOperator="LessThanThreshold")}),
    ("T051", {"A": alarm(Dimensions=[{"Name": "Function", "Value": "reader"}])}),
    ("T052", {"A": alarm(MetricName="IteratorAge", Statistic="Maximum"), "F": FUNCTION, "Q": QUEUE, "M": READS_QUEUE}),
    ("T052", {"A": alarm(MetricName="DeadLetterErrors"), "F": FUNCTION}),
    ("T052", {"A": alarm(Namespace="AWS/Events", MetricName="InvocationsSentToDlq", Dimensions=OF_DAILY), "F": FUNCTION, "R": DAILY}),
    ("T053", {"A": alarm(MetricName="Duration", Threshold=5000), "F": FUNCTION}),
    ("T054", {"A": alarm(MetricName="Duration", Statistic="Maximum", ComparisonOperator="LessThanThreshold", Threshold=5)}),
    ("T055", {"A": alarm(Unit="Percent")}),
    ("T056", {"A": alarm(EvaluationPeriods=3), "F": FUNCTION, "R": DAILY}),
    ("T057", {"A": alarm(MetricName="Duration", Statistic="Maximum", Threshold=10_000), "F": FUNCTION}),
    ("T061", {"A": alarm(AlarmActions=None)}),
    ("T062", {"A": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": "alias/aws/sns"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "resources"), CASES, ids=[f"{rule}-{index}" for index, (rule, _) in enumerate(CASES)])
def test_each_mistake_is_found(rule: str, resources: dict[str, Any], tmp_path: Path) -> None:
    found = findings(tmp_path, **resources)
    assert rule in {name for name, _ in found}, found
    extra = {name for name, _ in found} - {rule} - ({"T033"} if rule == "T034" else set())
    assert not extra, found


def test_a_sound_alarm_has_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, A=alarm(), F=FUNCTION) == []


def test_metrics_of_ones_own_are_not_called_dead(tmp_path: Path) -> None:
    """Nobody but their team knows them; not even a name close to one of AWS's is a mistake."""
    for name in ("FilesLoaded", "Erors", "IteratorAge"):
        assert findings(tmp_path, A=alarm(Namespace="DataPipeline", MetricName=name), F=FUNCTION, R=DAILY) == []


def test_an_iterator_age_that_may_be_there_is_not_called_dead(tmp_path: Path) -> None:
    """Another template may let the function read a stream, and a source given by a parameter may be one."""
    age = alarm(MetricName="IteratorAge", Statistic="Maximum")
    assert findings(tmp_path, A=age, F=FUNCTION) == []
    stream = {"EventSourceArn": "arn:aws:kinesis:eu-west-1:111111111111:stream/s", "FunctionName": {"Ref": "F"}}
    reads = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": stream}
    assert findings(tmp_path, A=age, F=FUNCTION, Q=QUEUE, M=READS_QUEUE, S=reads) == []


def test_a_dimension_that_stands_twice(tmp_path: Path) -> None:
    twice = [{"Name": "FunctionName", "Value": "reader"}, {"Name": "FunctionName", "Value": "writer"}]
    assert "T035" in {name for name, _ in findings(tmp_path, A=alarm(Dimensions=twice))}


def test_a_topic_key_without_cloudwatch(tmp_path: Path) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Ref": "K"}}}
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}}
    assert [name for name, _ in findings(tmp_path, T=topic, K=key)] == ["T062"]


def test_over_the_budget(tmp_path: Path) -> None:
    assert findings(tmp_path, budget=0.05, A=alarm()) == [
        ("T070", "all alarms together cost USD 0.10 a month, the budget is USD 0.05")
    ]


def test_too_many_resources_and_parameters(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    resources = {f"A{number}": alarm() for number in range(501)}
    parameters = {f"P{number}": {"Type": "String", "Default": ""} for number in range(201)}
    path.write_text(json.dumps({"Parameters": parameters, "Resources": resources}))
    assert {"T010", "T012"} == {finding.id for finding in check_template(path, {}).findings}


def test_a_template_over_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"Resources": {"A": alarm(), "B": {"Type": "X", "Metadata": "x" * 1_000_001}}}))
    assert {"T011"} == {finding.id for finding in check_template(path, {}).findings}


def test_a_missing_value_that_counts_as_breaching_can_fire_on_a_daily_job(tmp_path: Path) -> None:
    ok = alarm(EvaluationPeriods=3, TreatMissingData="breaching")
    assert findings(tmp_path, A=ok, F=FUNCTION, R=DAILY) == []


def test_peers_silent_unit_slip_is_found(tmp_path: Path) -> None:
    """A peer wrote a duration of seconds as milliseconds, so that 60 s became 60,000 and never fired."""
    slip = alarm(MetricName="Duration", Statistic="Maximum", Threshold=60_000)
    assert [name for name, _ in findings(tmp_path, A=slip, F=FUNCTION)] == ["T057"]


def test_the_rules_are_complete() -> None:
    """Every rule has a case here, or is proven where a project is checked."""
    in_projects = {"T001", "T002", "T003", "T018", "T060", "T063", "T064", "T065", "T066", "T067", "T068", "T080"}
    here = {rule for rule, _ in CASES} | {"T010", "T011", "T012", "T035", "T062", "T070"}
    assert here | in_projects == set(FINDINGS)
    for rule in FINDINGS.values():
        assert rule.title
        assert rule.why.endswith(".")
        assert rule.mend


@pytest.mark.parametrize(
    ("namespace", "metric", "dimensions"),
    [
        ("AWS/Lambda", "ClaimedAccountConcurrency", []),
        ("AWS/DynamoDB", "UserErrors", []),
        ("AWS/RDS", "ReadIOPS", ["DBInstanceIdentifier"]),
        ("AWS/ApiGateway", "IntegrationLatency", ["ApiId", "Stage", "Route"]),
        ("AWS/Lambda", "AMetricOfNextYear", ["FunctionName"]),
    ],
)
def test_a_real_metric_is_never_called_a_mistake(
    namespace: str, metric: str, dimensions: list[str], tmp_path: Path
) -> None:
    named = [{"Name": name, "Value": "x"} for name in dimensions]
    one = alarm(Namespace=namespace, MetricName=metric, Dimensions=named or None, Statistic="Average", Threshold=5)
    assert findings(tmp_path, A=one) == []


def test_a_stopped_replica_s_minus_one_is_a_value(tmp_path: Path) -> None:
    named = [{"Name": "DBInstanceIdentifier", "Value": "replica"}]
    below = {"ComparisonOperator": "LessThanThreshold", "Threshold": 0, "Statistic": "Minimum"}
    one = alarm(Namespace="AWS/RDS", MetricName="ReplicaLag", Dimensions=named, **below)
    assert findings(tmp_path, A=one) == []
