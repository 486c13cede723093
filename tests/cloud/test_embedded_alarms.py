"""Alarms of the embedded AWS: kept whole, evaluated from recorded metrics, read back through boto3."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from embedded_tools import Stack, eventually


def metric_stat(name: str, statistic: str = "Sum", period: int = 60, **dimensions: str) -> dict:
    return {
        "Metric": {
            "Namespace": "Test",
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        },
        "Period": period,
        "Stat": statistic,
    }


def ratio(bad: str, total: str) -> list[dict]:
    return [
        {"Id": "share", "Expression": "IF(total > 0, 100 * bad / total, 0)", "Label": "share of failures"},
        {"Id": "bad", "MetricStat": metric_stat(bad), "ReturnData": False},
        {"Id": "total", "MetricStat": metric_stat(total), "ReturnData": False},
    ]


def math_alarm(name: str, **properties: object) -> dict:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": name,
            "Metrics": ratio("Bad", "All"),
            "Threshold": 5,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            **properties,
        },
    }


def simple_alarm(name: str, metric: str, **properties: object) -> dict:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": name,
            "Namespace": "Test",
            "MetricName": metric,
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            **properties,
        },
    }


def composite(name: str, rule: str, depends_on: list[str], **properties: object) -> dict:
    return {
        "Type": "AWS::CloudWatch::CompositeAlarm",
        "DependsOn": depends_on,
        "Properties": {"AlarmName": name, "AlarmRule": rule, **properties},
    }


@pytest.fixture
def cloudwatch(client):
    return client("cloudwatch")


@pytest.fixture
def described(cloudwatch):
    def describe(name: str) -> dict:
        found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        (alarm,) = found["MetricAlarms"] + found["CompositeAlarms"]
        return alarm

    return describe


@pytest.fixture
def put(cloudwatch):
    def put(name: str, value: float, **dimensions: str) -> None:
        cloudwatch.put_metric_data(
            Namespace="Test",
            MetricData=[
                {
                    "MetricName": name,
                    "Value": value,
                    "Dimensions": [{"Name": key, "Value": dimension} for key, dimension in dimensions.items()],
                }
            ],
        )

    return put


def test_stack_keeps_a_math_alarm_whole(stack, described):
    made = stack("math", {"Alarm": math_alarm("math", DatapointsToAlarm=1, AlarmDescription="too many failures")})
    alarm = described("math")
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"
    assert [query["Id"] for query in alarm["Metrics"]] == ["share", "bad", "total"]
    assert alarm["Metrics"][0]["Expression"] == "IF(total > 0, 100 * bad / total, 0)"
    assert [query["ReturnData"] for query in alarm["Metrics"]] == [True, False, False]
    assert alarm["Metrics"][1]["MetricStat"] == metric_stat("Bad")
    assert alarm["AlarmDescription"] == "too many failures"
    assert "MetricName" not in alarm
    assert "Period" not in alarm
    assert made.ids() == {"Alarm": "math"}


def test_stack_updates_and_renames_alarms(stack, described, cloudwatch):
    made = stack("changing", {"Alarm": math_alarm("before"), "All": composite("all", "ALARM(before)", ["Alarm"])})
    assert made.update(
        {"Alarm": math_alarm("before", Threshold=7), "All": composite("all", "OK(before)", ["Alarm"])}
    ) == ("UPDATE_COMPLETE")
    assert described("before")["Threshold"] == 7
    assert described("all")["AlarmRule"] == "OK(before)"
    renamed = {"Alarm": math_alarm("after"), "All": composite("all", "ALARM(after)", ["Alarm"])}
    assert made.update(renamed) == "UPDATE_COMPLETE"
    assert described("after")["Threshold"] == 5
    assert described("all")["AlarmRule"] == "ALARM(after)"
    assert cloudwatch.describe_alarms(AlarmNames=["before"])["MetricAlarms"] == []


def test_stack_delete_removes_composites_before_their_children(stack, cloudwatch):
    made = stack("gone", {"A": math_alarm("child"), "C": composite("parent", 'ALARM("child")', ["A"])})
    assert made.delete() == "DELETE_COMPLETE"
    left = cloudwatch.describe_alarms(AlarmNames=["child", "parent"], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert left["MetricAlarms"] + left["CompositeAlarms"] == []


def test_getatt_of_alarms_is_their_arn(stack, described):
    made = stack(
        "arns",
        {"A": math_alarm("one"), "C": composite("two", 'ALARM("one")', ["A"])},
        {"A": {"Value": {"Fn::GetAtt": ["A", "Arn"]}}, "C": {"Value": {"Fn::GetAtt": ["C", "Arn"]}}},
    )
    assert made.outputs() == {"A": described("one")["AlarmArn"], "C": described("two")["AlarmArn"]}


@pytest.mark.parametrize(
    ("alarm", "reason"),
    [
        (math_alarm("x", Metrics=ratio("Bad", "All")[1:]), "ReturnData"),
        (math_alarm("x", Metrics=[{"Id": "a", "Expression": "b + 1"}]), "unknown id"),
        (simple_alarm("x", "M", Period=45), "Period 45"),
        (simple_alarm("x", "M", DatapointsToAlarm=2), "DatapointsToAlarm 2"),
        (simple_alarm("x", "M", AlarmActions=["arn:aws:sns:eu-west-1:000000000000:t"] * 6), "5 actions"),
        (composite("x", "ALARM(nobody)", []), "do not exist"),
        (composite("x", "ALARM(", []), ""),
        (composite("x", "TRUE", [], ActionsSuppressor="nobody"), "required with ActionsSuppressor"),
    ],
)
def test_stack_with_an_impossible_alarm_rolls_back(client, alarm, reason):
    made = Stack(client("cloudformation"), "impossible")
    try:
        with pytest.raises(AssertionError):
            made.create({"X": alarm})
        assert made.settled() == "ROLLBACK_COMPLETE"
        assert any(reason in text for text in made.reasons()), made.reasons()
    finally:
        made.delete()


def test_put_metric_alarm_keeps_metrics_and_low_sample_rule(cloudwatch, described):
    cloudwatch.put_metric_alarm(
        AlarmName="by-api",
        Metrics=ratio("Bad", "All"),
        Threshold=1,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        ComparisonOperator="GreaterThanThreshold",
    )
    alarm = described("by-api")
    assert [query["Id"] for query in alarm["Metrics"]] == ["share", "bad", "total"]
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3, 2)
    cloudwatch.put_metric_alarm(
        AlarmName="by-api",
        Namespace="Test",
        MetricName="Slow",
        ExtendedStatistic="p99",
        Period=60,
        Threshold=1,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        EvaluateLowSampleCountPercentile="ignore",
    )
    alarm = described("by-api")
    assert "Metrics" not in alarm
    assert "Statistic" not in alarm
    assert (alarm["ExtendedStatistic"], alarm["EvaluateLowSampleCountPercentile"]) == ("p99", "ignore")
    cloudwatch.delete_alarms(AlarmNames=["by-api"])


def test_api_refuses_what_it_could_not_evaluate(cloudwatch):
    with pytest.raises(ClientError, match="SEARCH"):
        cloudwatch.put_metric_alarm(
            AlarmName="search",
            Metrics=[{"Id": "e", "Expression": "SEARCH('x', 'Sum', 60)", "Period": 60}],
            Threshold=1,
            EvaluationPeriods=1,
            ComparisonOperator="GreaterThanThreshold",
        )


def test_states_follow_the_recorded_metrics(stack, aws, described, put, cloudwatch):
    stack("following", {"A": math_alarm("failures"), "C": composite("page", 'ALARM("failures")', ["A"])})
    put("All", 100)
    put("Bad", 1)
    aws.next_minute()
    assert (described("failures")["StateValue"], described("page")["StateValue"]) == ("OK", "OK")
    put("All", 100)
    put("Bad", 50)
    aws.next_minute()
    alarm = described("failures")
    assert (alarm["StateValue"], described("page")["StateValue"]) == ("ALARM", "ALARM")
    assert "50.0" in alarm["StateReason"]
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"][-1] == 50
    # Older datapoints stand in while newer ones are missing; notBreaching needs the range to be empty of breaches.
    for _ in range(4):
        aws.next_minute()
    assert (described("failures")["StateValue"], described("page")["StateValue"]) == ("OK", "OK")
    history = cloudwatch.describe_alarm_history(
        AlarmName="page", AlarmTypes=["CompositeAlarm"], ScanBy="TimestampAscending"
    )
    updates = [
        item["HistorySummary"] for item in history["AlarmHistoryItems"] if item["HistoryItemType"] == "StateUpdate"
    ]
    assert updates == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
    ]
    assert history["AlarmHistoryItems"][0]["HistoryItemType"] == "ConfigurationUpdate"


def test_only_the_alarms_own_dimensions_count(stack, aws, described, put):
    stack("dimensions", {"A": simple_alarm("of-one", "Hits", Dimensions=[{"Name": "Of", "Value": "one"}])})
    put("Hits", 5, Of="two")
    put("Hits", 5)
    put("Hits", 5, Of="one", And="more")
    aws.next_minute()
    assert described("of-one")["StateValue"] == "OK"
    put("Hits", 5, Of="one")
    aws.next_minute()
    assert described("of-one")["StateValue"] == "ALARM"


def test_m_of_n_and_missing_data(stack, aws, described, put):
    stack(
        "m-of-n",
        {
            "A": simple_alarm("two-of-three", "Rare", EvaluationPeriods=3, DatapointsToAlarm=2),
            "B": simple_alarm(
                "must-report", "Rare", ComparisonOperator="LessThanThreshold", TreatMissingData="breaching"
            ),
        },
    )
    put("Rare", 1)
    aws.next_minute()
    assert described("two-of-three")["StateValue"] == "OK"
    put("Rare", 1)
    aws.next_minute()
    assert described("two-of-three")["StateValue"] == "ALARM"
    assert described("must-report")["StateValue"] == "OK"
    for _ in range(4):
        aws.next_minute()
    assert described("must-report")["StateValue"] == "ALARM"


def test_set_alarm_state_reaches_composites_and_is_corrected(stack, aws, described, cloudwatch):
    stack("set", {"A": simple_alarm("quiet", "Never"), "C": composite("above", 'ALARM("quiet")', ["A"])})
    aws.next_minute()
    cloudwatch.set_alarm_state(AlarmName="quiet", StateValue="ALARM", StateReason="a drill")
    assert (described("quiet")["StateReason"], described("above")["StateValue"]) == ("a drill", "ALARM")
    aws.next_minute()
    assert (described("quiet")["StateValue"], described("above")["StateValue"]) == ("OK", "OK")


def test_composites_of_composites_with_every_operator(stack, described, cloudwatch):
    children = {f"A{index}": simple_alarm(f"c{index}", "Never") for index in range(3)}
    rules = {
        "both": "ALARM(c0) AND ALARM(c1)",
        "neither": "NOT (ALARM(c0) OR ALARM(c1))",
        "two": "AT_LEAST(2, ALARM, (c0, c1, c2))",
    }
    resources = {name.title(): composite(name, rule, list(children)) for name, rule in rules.items()}
    above = composite("above-all", 'ALARM("both") AND NOT ALARM("neither")', [name.title() for name in rules])
    stack("tree", {**children, **resources, "Above": above})

    def states() -> dict[str, str]:
        return {name: described(name)["StateValue"] for name in [*rules, "above-all"]}

    assert states() == {"both": "OK", "neither": "ALARM", "two": "OK", "above-all": "OK"}
    for name in ("c0", "c1"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    assert states() == {"both": "ALARM", "neither": "OK", "two": "ALARM", "above-all": "ALARM"}


def test_suppressor_holds_actions_and_releases_them(stack, aws, described, cloudwatch, client):
    made = stack(
        "held",
        {
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Policy": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {
                    "Queues": [{"Ref": "Queue"}],
                    "PolicyDocument": {
                        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]
                    },
                },
            },
            "Subscription": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {
                    "TopicArn": {"Ref": "Topic"},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                },
            },
            "Child": simple_alarm("child-of-held", "Never"),
            "Maintenance": simple_alarm("maintenance", "Never"),
            "Page": composite(
                "held-page",
                'ALARM("child-of-held")',
                ["Child", "Maintenance"],
                ActionsSuppressor="maintenance",
                ActionsSuppressorWaitPeriod=60,
                ActionsSuppressorExtensionPeriod=120,
                AlarmActions=[{"Ref": "Topic"}],
            ),
        },
    )
    sqs, queue = client("sqs"), made.ids()["Queue"]

    def pages() -> int:
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    alarm = described("held-page")
    assert alarm["ActionsSuppressor"] == "maintenance"
    assert (alarm["ActionsSuppressorWaitPeriod"], alarm["ActionsSuppressorExtensionPeriod"]) == (60, 120)
    aws.next_minute()
    aws.next_minute()
    # The next rounds would correct states set by hand, so the alarms are judged on data.
    for name in ("child-of-held", "maintenance"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="Test", MetricName=name, Statistic="Maximum", Period=60, Threshold=0,
            EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
        )  # fmt: skip

    def data(metric: str, value: float) -> None:
        cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": metric, "Value": value}])

    data("maintenance", 1)
    data("child-of-held", 1)
    aws.next_minute()
    assert described("held-page")["StateValue"] == "ALARM"
    assert described("held-page")["ActionsSuppressedBy"] == "Alarm"
    data("maintenance", 0)
    aws.next_minute()
    assert described("held-page")["ActionsSuppressedBy"] == "ExtensionPeriod"
    aws.next_minute()
    assert pages() == 0
    aws.next_minute()
    assert pages() == 1
    assert "ActionsSuppressedBy" not in described("held-page")


def test_alarm_with_a_ten_second_period_turns_between_minutes(stack, aws, described, put):
    stack("quick", {"A": simple_alarm("quick", "Quick", Period=10, EvaluationPeriods=1)})
    aws.next_minute()
    assert described("quick")["StateValue"] == "OK"
    put("Quick", 1)
    aws.advance(11)
    eventually(lambda: described("quick")["StateValue"] == "ALARM", "the quick alarm")
    assert described("quick")["StateUpdatedTimestamp"].second % 10 == 0
    assert described("quick")["StateUpdatedTimestamp"].second != 0


def test_alarm_tags_are_kept(stack, described, cloudwatch):
    stack("tagged", {"A": simple_alarm("tagged", "M", Tags=[{"Key": "severity", "Value": "page"}])})
    tags = cloudwatch.list_tags_for_resource(ResourceARN=described("tagged")["AlarmArn"])["Tags"]
    assert {"Key": "severity", "Value": "page"} in tags


def test_change_set_says_that_alarms_change_in_place(stack, client):
    stack("in-place", {"A": math_alarm("in-place"), "C": composite("in-place-page", "ALARM(in-place)", ["A"])})
    cloudformation = client("cloudformation")
    changed = {"A": math_alarm("in-place", Threshold=9), "C": composite("in-place-page", "OK(in-place)", ["A"])}
    cloudformation.create_change_set(
        StackName="in-place", ChangeSetName="change", TemplateBody=json.dumps({"Resources": changed})
    )
    eventually(
        lambda: (
            cloudformation.describe_change_set(StackName="in-place", ChangeSetName="change")["Status"]
            == "CREATE_COMPLETE"
        ),
        "the change set",
    )
    changes = cloudformation.describe_change_set(StackName="in-place", ChangeSetName="change")["Changes"]
    assert {
        (
            change["ResourceChange"]["LogicalResourceId"],
            change["ResourceChange"]["Action"],
            change["ResourceChange"]["Replacement"],
        )
        for change in changes
    } == {("A", "Modify", "False"), ("C", "Modify", "False")}
