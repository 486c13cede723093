"""Alarms read back from CloudFormation templates: ours as they were planned, anybody's without a crash."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shorthand import NOON, minutes

from tocsin.alarm import (
    Actions,
    Alarm,
    AlarmState,
    Comparison,
    CompositeAlarm,
    EvaluationWindow,
    Metric,
    MetricQuery,
    MetricStat,
    TreatMissingData,
    single,
)
from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import resolve
from tocsin.errors import InputError
from tocsin.simulate.series import Store
from tocsin.simulate.template import AlarmTemplate, read_alarms, read_template
from tocsin.simulate.timeline import simulate

OURS = """
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Environment: {Type: String, Default: prod}
  OrdersQueueName: {Type: String}
  PageTopicArn: {Type: String}
Resources:
  AgeAlarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub "${Environment}-orders-age"
      AlarmDescription: !Sub "Queue ${OrdersQueueName} is slow. Costs ${!5}."
      Namespace: AWS/SQS
      MetricName: ApproximateAgeOfOldestMessage
      Dimensions: [{Name: QueueName, Value: !Ref OrdersQueueName}]
      Statistic: Maximum
      Period: 60
      EvaluationPeriods: 15
      DatapointsToAlarm: 10
      Threshold: 300
      ComparisonOperator: GreaterThanOrEqualToThreshold
      TreatMissingData: notBreaching
      AlarmActions: [!Ref PageTopicArn]
      OKActions: [!Ref PageTopicArn]
  BurnAlarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub "${Environment}-burn"
      ActionsEnabled: false
      Metrics:
        - {Id: ratio, Expression: "IF(FILL(valid, 0) > 0, FILL(bad, 0) / FILL(valid, 0), 0)", Label: bad share, Period: 300, ReturnData: true}
        - Id: bad
          MetricStat: {Metric: {Namespace: N, MetricName: Bad}, Period: 300, Stat: Sum}
          ReturnData: false
        - Id: valid
          MetricStat: {Metric: {Namespace: N, MetricName: Valid}, Period: 300, Stat: Sum, Unit: Count}
          ReturnData: false
      EvaluationPeriods: 1
      Threshold: 0.0144
      ComparisonOperator: GreaterThanThreshold
  Page:
    Type: AWS::CloudWatch::CompositeAlarm
    Properties:
      AlarmName: !Sub "${Environment}-page"
      AlarmRule: !Sub 'ALARM("${AgeAlarm}") OR (ALARM("${BurnAlarm.Arn}") AND TRUE)'
      AlarmActions: [!Ref PageTopicArn]
      ActionsSuppressor: !GetAtt BurnAlarm.Arn
      ActionsSuppressorWaitPeriod: 60
      ActionsSuppressorExtensionPeriod: "120"
"""

AGE = Alarm(
    name="${Environment}-orders-age",
    queries=single(
        MetricStat(
            Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", "${OrdersQueueName}"),)), "Maximum", 60
        )
    ),
    comparison=Comparison.GREATER_OR_EQUAL,
    threshold=300.0,
    evaluation_periods=15,
    datapoints_to_alarm=10,
    treat_missing_data=TreatMissingData.NOT_BREACHING,
    description="Queue ${OrdersQueueName} is slow. Costs ${!5}.",
    actions=Actions(alarm=("${PageTopicArn}",), ok=("${PageTopicArn}",)),
)
BURN = Alarm(
    name="${Environment}-burn",
    queries=(
        MetricQuery(
            "ratio",
            expression="IF(FILL(valid, 0) > 0, FILL(bad, 0) / FILL(valid, 0), 0)",
            label="bad share",
            period=300,
        ),
        MetricQuery("bad", stat=MetricStat(Metric("N", "Bad"), "Sum", 300), return_data=False),
        MetricQuery("valid", stat=MetricStat(Metric("N", "Valid"), "Sum", 300, "Count"), return_data=False),
    ),
    comparison=Comparison.GREATER,
    threshold=0.0144,
    evaluation_periods=1,
    datapoints_to_alarm=1,
    actions=Actions(enabled=False),
)
PAGE = CompositeAlarm(
    name="${Environment}-page",
    rule='ALARM("${Environment}-orders-age") OR (ALARM("${Environment}-burn") AND TRUE)',
    actions=Actions(alarm=("${PageTopicArn}",)),
    suppressor="${Environment}-burn",
    suppressor_wait=60,
    suppressor_extension=120,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "alarms.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(properties: dict[str, Any], kind: str = "Alarm", **others: Any) -> AlarmTemplate:
    tree = {"Resources": {"It": {"Type": f"AWS::CloudWatch::{kind}", "Properties": properties}, **others}}
    return read_alarms(resolve(parse(json.dumps(tree), "t.json")))


def test_what_was_planned_is_read_back(tmp_path: Path) -> None:
    found = read_template(write(tmp_path, OURS), defaults=False)
    assert found == AlarmTemplate((AGE, BURN), (PAGE,), (), ("Environment", "OrdersQueueName", "PageTopicArn"))


def test_parameters_and_defaults_complete_the_text(tmp_path: Path) -> None:
    found = read_template(write(tmp_path, OURS), {"OrdersQueueName": "orders"})
    assert [one.name for one in found.alarms] == ["prod-orders-age", "prod-burn"]
    assert found.alarms[0].metrics == (Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", "orders"),)),)
    assert found.composites[0].rule == 'ALARM("prod-orders-age") OR (ALARM("prod-burn") AND TRUE)'
    assert found.unresolved == ("PageTopicArn",)


def test_what_is_read_runs(tmp_path: Path) -> None:
    template = read_template(write(tmp_path, OURS), {"OrdersQueueName": "orders"})
    source = Store()
    for minute in range(40):
        source.add(template.alarms[0].metrics[0], NOON + minutes(minute), 400)
    found = simulate(template, source, NOON, NOON + minutes(40))
    assert [change.state for change in found.changes["prod-page"]] == [AlarmState.OK, AlarmState.ALARM]
    assert found.changes["prod-page"][1].at == NOON + minutes(10)
    assert found.changes["prod-page"][1].acted_at == NOON + minutes(11)
    assert found.without_data == ("prod-burn",)


PLAIN: dict[str, Any] = {
    "Namespace": "N",
    "MetricName": "M",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanThreshold",
}


def test_defaults_of_cloudwatch() -> None:
    (one,) = read(PLAIN).alarms
    assert (one.name, one.datapoints_to_alarm, one.treat_missing_data) == ("It", 3, TreatMissingData.MISSING)
    assert (one.actions, one.description, one.evaluate_low_samples) == (Actions(), "", True)
    assert one.evaluation_window is EvaluationWindow.SLIDING


def test_dynamodb_ignores_missing_data_unless_told_otherwise() -> None:
    table = PLAIN | {"Namespace": "AWS/DynamoDB"}
    assert read(table).alarms[0].treat_missing_data is TreatMissingData.IGNORE
    told = read(table | {"TreatMissingData": "breaching"})
    assert told.alarms[0].treat_missing_data is TreatMissingData.BREACHING


def test_numbers_may_be_text_and_windows_on_the_clock() -> None:
    (one,) = read(
        PLAIN
        | {"Period": "3600", "Threshold": "1.5", "EvaluateLowSampleCountPercentile": "ignore"}
        | {"EvaluationWindow": {"WallClockWindow": {"Timezone": "Europe/Berlin"}}}
    ).alarms
    assert (one.period, one.threshold, one.evaluate_low_samples) == (3600, 1.5, False)
    assert (one.evaluation_window, one.timezone) == (EvaluationWindow.WALL_CLOCK, "Europe/Berlin")


def test_a_literal_dollar_brace_stays_literal() -> None:
    (one,) = read(PLAIN | {"AlarmDescription": "costs ${x}"}).alarms
    assert one.description == "costs ${!x}"


def metrics(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    without = {
        key: value for key, value in PLAIN.items() if key not in ("Namespace", "MetricName", "Statistic", "Period")
    }
    return without | {"Metrics": list(entries)} | more


STAT = {
    "Id": "m1",
    "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum"},
    "ReturnData": False,
}


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        (PLAIN | {"ThresholdMetricId": "band"}, "anomaly detection"),
        (metrics({"Id": "e1", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)"}, STAT), "anomaly detection"),
        (metrics({"Id": "e1", "Expression": "SELECT MAX(x) FROM y", "Period": 60}), "Metrics Insights"),
        (metrics({"Id": "e1", "Expression": "SEARCH('x', 'Sum')", "Period": 60}), "SEARCH is not evaluated"),
        (metrics({"Id": "e1", "Expression": "WAT(m1)"}, STAT), "unknown function WAT"),
        (metrics(STAT), "0 queries return data"),
        (metrics({"Id": "e1", "Expression": "TIME_SERIES(1)"}), "one and the same period; found none"),
        (metrics({"Id": "e1", "Expression": "m1", "Period": 300}, STAT), "found 60, 300"),
        (metrics({"Id": "e1"}), "either a metric or an expression"),
        (metrics(STAT | {"AccountId": "111122223333", "ReturnData": True}), "another account"),
        (metrics(Metrics="m1"), "Metrics is a list"),
        (metrics(STAT | {"MetricStat": {}}), "MetricStat without a Metric"),
        ({"EvaluationCriteria": {"PromQLCriteria": {"Query": "up"}}}, "PromQL"),
        (PLAIN | {"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 5}}, "warm-up"),
        (PLAIN | {"Period": 90}, "Period 90"),
        (PLAIN | {"Period": None}, "Period is missing"),
        (PLAIN | {"Threshold": {"Ref": "AWS::Region"}}, "Threshold is \\$\\{AWS::Region\\}, which is not known"),
        (PLAIN | {"Threshold": "many"}, "Threshold is not a number: 'many'"),
        (PLAIN | {"EvaluationPeriods": 1.5}, "not a whole number"),
        (PLAIN | {"ExtendedStatistic": "p90"}, "exactly one of Statistic and ExtendedStatistic"),
        (PLAIN | {"Statistic": "p90"}, "Statistic 'p90'; it is one of"),
        (PLAIN | {"ComparisonOperator": "LessThanLowerThreshold"}, "is not evaluated; it is one of"),
        (PLAIN | {"TreatMissingData": "maybe"}, "TreatMissingData 'maybe'"),
        (PLAIN | {"DatapointsToAlarm": 4}, "DatapointsToAlarm 4 of EvaluationPeriods 3"),
        (PLAIN | {"Dimensions": {"a": "b"}}, "Dimensions is a list"),
        (PLAIN | {"ActionsEnabled": "perhaps"}, "neither true nor false"),
        (PLAIN | {"EvaluationWindow": {}}, "exactly one of SlidingWindow and WallClockWindow"),
        ({}, "neither MetricName nor Metrics"),
    ],
)
def test_what_cannot_be_evaluated_is_listed_and_the_rest_is_read(properties: dict[str, Any], reason: str) -> None:
    found = read(properties, Fine={"Type": "AWS::CloudWatch::Alarm", "Properties": PLAIN})
    assert [one.name for one in found.alarms] == ["Fine"]
    (refused,) = found.unsupported
    assert (refused.name, refused.logical_id) == ("It", "It")
    assert re.search(reason, refused.reason), refused.reason


def test_other_kinds_of_alarm_are_listed() -> None:
    found = read(
        {"AlarmName": "x"},
        "LogAlarm",
        Rule={"Type": "AWS::CloudWatch::AlarmMuteRule"},
        Topic={"Type": "AWS::SNS::Topic"},
    )
    assert [one.logical_id for one in found.unsupported] == ["It", "Rule"]
    assert found.alarms == ()


def test_a_name_that_is_taken_and_a_false_condition() -> None:
    tree = {
        "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
        "Resources": {
            "One": {"Type": "AWS::CloudWatch::Alarm", "Properties": PLAIN | {"AlarmName": "same"}},
            "Two": {"Type": "AWS::CloudWatch::Alarm", "Properties": PLAIN | {"AlarmName": "same"}},
            "Three": {"Type": "AWS::CloudWatch::Alarm", "Condition": "Never", "Properties": PLAIN},
        },
    }
    found = read_alarms(resolve(parse(json.dumps(tree), "t.json")))
    assert [one.name for one in found.alarms] == ["same"]
    assert {one.logical_id: one.reason for one in found.unsupported} == {
        "Two": "the name same is taken by another alarm of this template",
        "Three": "its condition Never is false, so it is not created",
    }


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"AlarmRule": "ALARM(x"}, "position 8"),
        ({}, "AlarmRule is missing"),
        ({"AlarmRule": "TRUE", "ActionsSuppressor": "x"}, "ActionsSuppressorWaitPeriod is missing"),
    ],
)
def test_broken_composites_are_listed(properties: dict[str, Any], reason: str) -> None:
    (refused,) = read(properties, "CompositeAlarm").unsupported
    assert reason in refused.reason


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**6),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["Sum", "60", "m1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["Id", "Ref", "Fn::Sub", "Metric", "Stat", "Name", "Value", "Expression", "MetricStat"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "AlarmName",
                "AlarmDescription",
                "Metrics",
                "MetricName",
                "Namespace",
                "Statistic",
                "ExtendedStatistic",
                "Period",
                "EvaluationPeriods",
                "DatapointsToAlarm",
                "Threshold",
                "ComparisonOperator",
                "TreatMissingData",
                "Dimensions",
                "AlarmActions",
                "ActionsEnabled",
                "Unit",
                "EvaluationWindow",
                "AlarmRule",
                "ActionsSuppressor",
            ]
        ),
        JSON_VALUES,
        max_size=4,
    ),
    st.sampled_from(["Alarm", "CompositeAlarm"]),
)
def test_no_template_crashes_the_reader(change: dict[str, Any], kind: str) -> None:
    found = read(PLAIN | change, kind)
    assert len(found.alarms) + len(found.composites) + len(found.unsupported) == 1


BESIDE = """
Parameters:
  Env: {Type: String}
Resources:
  Checkout: {Type: "AWS::Lambda::Function", Properties: {FunctionName: checkout}}
  Staged: {Type: "AWS::Lambda::Function", Properties: {FunctionName: !Sub "${Env}-checkout"}}
  Nameless: {Type: "AWS::Lambda::Function"}
  Orders: {Type: "AWS::SQS::Queue", Properties: {QueueName: orders}}
  Letters: {Type: "AWS::SQS::Queue"}
  Base: {Type: "AWS::RDS::DBInstance", Properties: {DBInstanceIdentifier: Shop-Base}}
  A:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub "${Checkout}-errors"
      Namespace: N
      MetricName: M
      Dimensions: [{Name: D, Value: VALUE}]
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 1
      ComparisonOperator: GreaterThanThreshold
"""


@pytest.mark.parametrize(
    ("value", "given", "found", "unresolved"),
    [
        ("!Ref Checkout", {}, "checkout", ()),
        ('!Sub "${Checkout}:live"', {}, "checkout:live", ()),
        ("!Ref Staged", {}, "${Env}-checkout", ("Env",)),
        ("!Ref Staged", {"Env": "prod"}, "prod-checkout", ()),
        ("!Ref Nameless", {}, "${Nameless}", ("Nameless",)),
        ("!Ref Nameless", {"Nameless": "stack-Nameless-1"}, "stack-Nameless-1", ()),
        ("!Ref Checkout", {"Checkout": "other"}, "other", ()),
        ("!GetAtt Orders.QueueName", {}, "orders", ()),
        ("!GetAtt Letters.QueueName", {}, "${Letters.QueueName}", ("Letters.QueueName",)),
        ("!GetAtt Letters.QueueName", {"Letters.QueueName": "letters"}, "letters", ()),
        ("!GetAtt Letters.QueueName", {"Letters": "letters"}, "letters", ()),
        ("!Ref Orders", {}, "${Orders}", ("Orders",)),  # a URL
        ("!Ref Base", {}, "shop-base", ()),
        ("!Ref AWS::Region", {"AWS::Region": "eu-west-1"}, "eu-west-1", ()),
        ("!Ref Nameless", {"Nameless": "a${b"}, "a${!b", ()),
    ],
)
def test_a_resource_beside_its_alarm_is_known_by_its_name(
    tmp_path: Path, value: str, given: dict[str, str], found: str, unresolved: tuple[str, ...]
) -> None:
    template = read_template(write(tmp_path, BESIDE.replace("VALUE", value)), given)
    (alarm,) = template.alarms
    assert alarm.metrics[0].dimensions == (("D", found),)
    assert alarm.name == f"{given.get('Checkout', 'checkout')}-errors"
    assert template.unresolved == unresolved


def test_a_name_that_is_neither_parameter_nor_resource_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no parameter 'Nothing'"):
        read_template(write(tmp_path, BESIDE), {"Nothing": "x"})


def test_tuning_takes_the_name_of_a_resource_too(tmp_path: Path) -> None:
    path, series = write(tmp_path, BESIDE.replace("VALUE", "!Ref Nameless")), tmp_path / "s.json"
    made = {"Namespace": "N", "MetricName": "M", "Dimensions": {"D": "one"}, "Period": 60}
    series.write_text(json.dumps([made | {"Start": "2026-03-02T09:00:00Z", "Values": [0] * 20}]), encoding="utf-8")
    command = [sys.executable, "-m", "tocsin", "tune", "--template", str(path), "--series", str(series)]
    done = subprocess.run([*command, "--param", "Nameless=one"], capture_output=True, text=True, check=False)
    assert "no parameter" not in done.stderr
    assert "checkout-errors" in done.stdout + done.stderr
