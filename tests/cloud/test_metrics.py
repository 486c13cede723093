"""Metric values, alarm states and their history read back from CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from plain_server import Server

from tocsin.alarm import AlarmState, Metric, MetricQuery, MetricStat
from tocsin.cloud.metrics import read_alarms, read_history, read_metrics
from tocsin.cloud.session import Cloud
from tocsin.errors import CloudError

pytest_plugins = ["plain_ministack"]

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def put(server: Server, metric: Metric, values: dict[int, float]) -> None:
    server.client("cloudwatch").put_metric_data(
        Namespace=metric.namespace,
        MetricData=[
            {
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
                "Timestamp": minute(number),
                "Value": value,
            }
            for number, value in values.items()
        ],
    )


def put_alarm(server: Server, name: str) -> None:
    server.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Shop",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=["arn:aws:sns:eu-west-1:111122223333:topic"],
    )


def set_state(server: Server, name: str, state: str, reason: str) -> None:
    server.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)


def test_values_by_query_and_time(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    metric = Metric("Shop", "Orders", (("Shop", unused),))
    put(plain_aws, metric, {0: 3, 1: 4, 3: 5, 10: 99})
    queries = [
        MetricQuery("sum", MetricStat(metric, "Sum", 60)),
        MetricQuery("most", MetricStat(metric, "Maximum", 300)),
        MetricQuery("none", MetricStat(Metric("Shop", "Nothing", (("Shop", unused),)), "Sum", 60)),
    ]
    found = read_metrics(plain_cloud, queries, START, minute(5))
    assert found["sum"] == ((minute(0), 3.0), (minute(1), 4.0), (minute(3), 5.0))
    assert found["most"] == ((minute(0), 5.0),)
    assert found["none"] == ()


def test_what_cloudwatch_cannot_work_out_is_an_error(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    metric = Metric("Shop", "Orders", (("Shop", unused),))
    put(plain_aws, metric, {0: 3})
    queries = [
        MetricQuery("m", MetricStat(metric, "Sum", 60), return_data=False),
        MetricQuery("e", expression="m * 2", period=60),
    ]
    # The plain server works out no expressions, and says so in the way AWS would.
    with pytest.raises(CloudError, match="cannot read metric e"):
        read_metrics(plain_cloud, queries, START, minute(5))


def test_too_many_metrics_at_once(plain_cloud: Cloud) -> None:
    queries = [MetricQuery(f"m{number}", MetricStat(Metric("Shop", "Orders"), "Sum", 60)) for number in range(501)]
    with pytest.raises(CloudError, match="cannot read 501 metrics at once: CloudWatch takes 500"):
        read_metrics(plain_cloud, queries, START, minute(5))


def test_every_alarm_is_read_page_by_page(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    for number in range(120):  # CloudWatch answers at most 100 at once
        put_alarm(plain_aws, f"{unused}-{number:03}")
    plain_aws.client("cloudwatch").put_composite_alarm(
        AlarmName=f"{unused}-any", AlarmRule=f'ALARM("{unused}-000") OR ALARM("{unused}-001")'
    )
    set_state(plain_aws, f"{unused}-007", "ALARM", "seen to breach")

    found = read_alarms(plain_cloud, unused)

    assert [alarm.name for alarm in found] == [*(f"{unused}-{number:03}" for number in range(120)), f"{unused}-any"]
    assert [alarm.name for alarm in found if alarm.composite] == [f"{unused}-any"]
    alarmed = found[7]
    assert (alarmed.state, alarmed.reason) == (AlarmState.ALARM, "seen to breach")
    assert alarmed.actions == ("arn:aws:sns:eu-west-1:111122223333:topic",)
    assert alarmed.actions_enabled
    assert alarmed.updated.tzinfo is UTC
    assert found[8].state is AlarmState.INSUFFICIENT_DATA


def test_history_tells_from_which_state_to_which(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    put_alarm(plain_aws, unused)
    for state, reason in (("ALARM", "one"), ("OK", "two"), ("ALARM", "three")):
        set_state(plain_aws, unused, state, reason)
    now = datetime.now(UTC)
    found = read_history(plain_cloud, unused, now - timedelta(hours=1), now + timedelta(hours=1))
    assert [(change.after.value, change.reason) for change in found[-3:]] == [
        ("ALARM", "one"),
        ("OK", "two"),
        ("ALARM", "three"),
    ]
    assert {change.alarm for change in found} == {unused}
    assert read_history(plain_cloud, unused, now - timedelta(hours=2), now - timedelta(hours=1)) == ()
