"""What AWS recommends and what other tools alarm on is here, or a written reason why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_stacks import conditions, dimensions, only, reason, ref, stack

from tocsin.alarm import Comparison, MetricStat
from tocsin.catalog import CATALOG
from tocsin.catalog.entry import AlarmKind, Condition, Inapplicable, ResourceType
from tocsin.model import Resource

HERE = Path(__file__).parent
RECOMMENDED: list[dict[str, Any]] = json.loads((HERE / "recommended.json").read_text("utf-8"))["alarms"]
PEERS: dict[str, list[str]] = json.loads((HERE / "peers.json").read_text("utf-8"))["metrics"]

# Resources that between them switch on every alarm kind.
SAMPLES = (
    stack(
        Fn=(
            "AWS::Lambda::Function",
            {"Timeout": 30, "ReservedConcurrentExecutions": 10, "DeadLetterConfig": {"TargetArn": ref("Dead.Arn")}},
        ),
        Daily=(
            "AWS::Events::Rule",
            {
                "ScheduleExpression": "rate(1 day)",
                "Targets": [{"Arn": ref("Fn.Arn"), "DeadLetterConfig": {"Arn": ref("Dead.Arn")}}],
            },
        ),
        Nightly=(
            "AWS::Scheduler::Schedule",
            {
                "ScheduleExpression": "rate(1 day)",
                "Target": {"Arn": ref("Fn.Arn"), "DeadLetterConfig": {"Arn": ref("Dead.Arn")}},
            },
        ),
        Work=("AWS::SQS::Queue", {"RedrivePolicy": {"deadLetterTargetArn": ref("Dead.Arn"), "maxReceiveCount": 5}}),
        Reader=("AWS::Lambda::EventSourceMapping", {"EventSourceArn": ref("Work.Arn"), "FunctionName": ref("Fn")}),
        Dead=("AWS::SQS::Queue", {}, "dlq"),
        Polled=("AWS::SQS::Queue", {}),
        News=("AWS::SNS::Topic", {}),
        ByAttribute=(
            "AWS::SNS::Subscription",
            {
                "TopicArn": ref("News"),
                "Protocol": "sqs",
                "FilterPolicy": {"kind": ["order"]},
                "RedrivePolicy": {"deadLetterTargetArn": ref("Dead.Arn")},
            },
        ),
        ByBody=(
            "AWS::SNS::Subscription",
            {
                "TopicArn": ref("News"),
                "Protocol": "sqs",
                "FilterPolicy": {"a": [1]},
                "FilterPolicyScope": "MessageBody",
            },
        ),
        Files=(
            "AWS::S3::Bucket",
            {
                "MetricsConfigurations": [{"Id": "EntireBucket"}],
                "ReplicationConfiguration": {
                    "Rules": [
                        {
                            "Id": "all",
                            "Status": "Enabled",
                            "Destination": {"Bucket": "arn:aws:s3:::copies", "Metrics": {"Status": "Enabled"}},
                        }
                    ]
                },
            },
        ),
    ),
    stack(
        Orders=(
            "AWS::DynamoDB::Table",
            {
                "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
                "GlobalSecondaryIndexes": [{"IndexName": "by-user"}],
            },
        ),
        Rest=("AWS::ApiGateway::RestApi", {}),
        Http=("AWS::ApiGatewayV2::Api", {}),
    ),
    stack(
        Rest=("AWS::ApiGateway::RestApi", {}),
        Prod=("AWS::ApiGateway::Stage", {"RestApiId": ref("Rest"), "StageName": "prod"}),
        Http=("AWS::ApiGatewayV2::Api", {"ProtocolType": "HTTP"}),
        Live=("AWS::ApiGatewayV2::Stage", {"ApiId": ref("Http"), "StageName": "$default"}),
    ),
    stack(
        Db=(
            "AWS::RDS::DBInstance",
            {
                "Engine": "postgres",
                "DBInstanceClass": "db.m6gd.large",
                "AllocatedStorage": 100,
                "StorageType": "gp2",
                "EnablePerformanceInsights": True,
            },
        ),
        Replica=(
            "AWS::RDS::DBInstance",
            {"SourceDBInstanceIdentifier": ref("Db"), "DBInstanceClass": "db.t3.small"},
        ),
        Member=(
            "AWS::RDS::DBInstance",
            {"DBClusterIdentifier": "orders", "Engine": "aurora-mysql", "DBInstanceClass": "db.r6g.large"},
        ),
        Old=("AWS::RDS::DBInstance", {"Engine": "mysql", "DBInstanceClass": "db.t2.small", "AllocatedStorage": 20}),
        Proxy=("AWS::RDS::DBProxy", {}),
    ),
)


def planned() -> Iterator[tuple[ResourceType, AlarmKind, Condition]]:
    for template in SAMPLES:
        for resource in template.values():
            entry = CATALOG.get(resource.type)
            for kind in entry.alarm_kinds if entry else ():
                found = kind.conditions(resource)
                for condition in () if isinstance(found, Inapplicable) else found:
                    assert entry is not None
                    yield entry, kind, condition


def stats(condition: Condition) -> list[MetricStat]:
    return [query.stat for query in condition.queries if query.stat]


def alarmed(type_: str) -> set[str]:
    return {stat.metric.name for entry, _, condition in planned() if entry.type == type_ for stat in stats(condition)}


def types_for(recommendation: dict[str, Any]) -> tuple[str, ...]:
    """The catalog's types that a recommendation is about."""
    match recommendation["namespace"]:
        case "AWS/Lambda":
            return ("AWS::Lambda::Function",)
        case "AWS/SQS":
            return ("AWS::SQS::Queue",)
        case "AWS/DynamoDB":
            return ("AWS::DynamoDB::Table",)
        case "AWS/RDS":
            return ("AWS::RDS::DBInstance",)
        case "AWS/SNS":
            return ("AWS::SNS::Topic",)
        case "AWS/Scheduler":
            return ("AWS::Scheduler::Schedule",)
        case "AWS/S3":
            return ("AWS::S3::Bucket",)
        case "AWS/ApiGateway" if "ApiName" in recommendation["dimensions"]:
            return ("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage")
        case "AWS/ApiGateway":
            return ("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage")
    raise AssertionError(recommendation["namespace"])


@pytest.mark.parametrize(
    "recommendation", RECOMMENDED, ids=lambda one: f"{one['namespace']}-{one['metric']}-{'+'.join(one['dimensions'])}"
)
def test_what_aws_recommends_is_alarmed_or_has_a_reason(recommendation):
    for type_ in types_for(recommendation):
        metric, entry = recommendation["metric"], CATALOG[type_]
        assert metric in alarmed(type_) or entry.not_alarmed.get(metric), f"{type_}: nothing says anything of {metric}"


@pytest.mark.parametrize(("type_", "metric"), [(type_, metric) for type_ in sorted(PEERS) for metric in PEERS[type_]])
def test_what_other_tools_alarm_on_is_alarmed_or_has_a_reason(type_, metric):
    assert metric in alarmed(type_) or CATALOG[type_].not_alarmed.get(metric), f"{type_}: {metric}"


@pytest.mark.parametrize("type_", sorted(PEERS))
def test_no_metric_is_both_alarmed_and_said_not_to_be(type_):
    # An ordinary queue is judged by age, its dead-letter queue by number; each is one entry.
    both = alarmed(type_) & set(CATALOG[type_].not_alarmed) - {"ApproximateNumberOfMessagesVisible"}
    supporting = {"Count", "Invocations", "NumberOfNotificationsDelivered", "NumberOfMessagesSent", "AllRequests"}
    assert not both - supporting, "the denominator of a share may be; nothing else"


def test_every_alarm_kind_is_switched_on_by_some_sample():
    """Otherwise the two lists above could pass on a kind that never applies."""
    applied = {kind.id for _, kind, _ in planned()}
    ours = {
        kind.id
        for entry in CATALOG.values()
        for kind in entry.alarm_kinds
        if entry.slug in ("dynamodb-table", "rest-api", "http-api", "rds-instance", "rds-proxy")
    }
    assert ours <= applied


# Defects found in other tools, each with what ours does instead.


def sample(type_: str, logical_id: str | None = None) -> Resource:
    return next(
        resource
        for template in SAMPLES
        for resource in template.values()
        if resource.type == type_ and logical_id in (None, resource.logical_id)
    )


def test_defect_4_a_threshold_in_another_unit_than_its_metric():
    """A duration in ms against a metric in s never fires."""
    database = sample("AWS::RDS::DBInstance")
    assert {one.threshold for one in conditions(database, "rds-instance-disk-latency")} == {0.02}
    assert only(sample("AWS::RDS::DBProxy"), "rds-proxy-borrow-latency").threshold == 1_000_000
    assert only(sample("AWS::ApiGateway::Stage"), "rest-api-latency").threshold == 23_200


def test_defect_5_the_sum_of_a_level_and_the_maximum_of_a_remainder():
    database = sample("AWS::RDS::DBInstance")
    assert stats(only(database, "rds-instance-connections"))[0].statistic == "Average"
    storage = only(database, "rds-instance-storage")
    assert (storage.comparison, stats(storage)[0].statistic) == (Comparison.LESS, "Minimum")


def test_defect_7_a_sum_over_operations_that_needs_all_of_them_to_report():
    errors = only(sample("AWS::DynamoDB::Table"), "dynamodb-table-system-errors")
    names = {query.id for query in errors.queries if query.stat}
    expressions = " ".join(query.expression for query in errors.queries if query.expression)
    assert all(f"FILL({name}, 0)" in expressions for name in names)


def test_defect_11_an_index_under_a_dimension_that_does_not_exist():
    for kind in ("read-throttles", "write-throttles"):
        _, index = conditions(sample("AWS::DynamoDB::Table"), f"dynamodb-table-{kind}")
        assert set(dimensions(index)) == {"TableName", "GlobalSecondaryIndexName"}


def test_defect_12_errors_under_a_table_name_alone():
    table = CATALOG["AWS::DynamoDB::Table"]
    assert "UserErrors" in table.not_alarmed
    for _, _, condition in planned():
        for stat in stats(condition):
            if stat.metric.name == "SystemErrors":
                assert {name for name, _ in stat.metric.dimensions} == {"TableName", "Operation"}


def test_defect_15_local_storage_of_an_instance_that_has_none():
    assert "no local NVMe storage" in reason(sample("AWS::RDS::DBInstance", "Replica"), "rds-instance-local-storage")
    assert only(sample("AWS::RDS::DBInstance", "Db"), "rds-instance-local-storage").threshold == 10


def test_defect_17_one_number_for_resources_of_any_size():
    small = stack(Db=("AWS::RDS::DBInstance", {"Engine": "mysql", "DBInstanceClass": "db.t3.micro"}))["Db"]
    large = stack(Db=("AWS::RDS::DBInstance", {"Engine": "mysql", "DBInstanceClass": "db.r6g.4xlarge"}))["Db"]
    for kind in ("rds-instance-memory", "rds-instance-connections"):
        assert only(small, kind).threshold * 50 < only(large, kind).threshold


def test_defect_18_an_on_demand_table_gets_alarms_too():
    table = stack(Orders=("AWS::DynamoDB::Table", {"BillingMode": "PAY_PER_REQUEST"}))["Orders"]
    for kind in ("read-throttles", "write-throttles", "system-errors"):
        assert only(table, f"dynamodb-table-{kind}")


def test_an_error_rate_is_a_rate_and_not_a_count():
    """Another tool departs from AWS's list: a sum of REST errors rings on a busy API and stays silent on a quiet one."""
    errors = only(sample("AWS::ApiGateway::Stage"), "rest-api-server-errors")
    assert [stat.statistic for stat in stats(errors)] == ["Average"]


def test_missing_data_of_dynamodb_does_not_hold_an_alarm():
    """Its throttles have no datapoints while nothing is throttled, and its alarms would keep their state."""
    table = sample("AWS::DynamoDB::Table")
    for kind in ("read-throttles", "write-throttles", "system-errors"):
        for condition in conditions(table, f"dynamodb-table-{kind}"):
            (shown,) = (query for query in condition.queries if query.return_data)
            assert shown.expression is not None
            assert shown.expression.startswith("IF(")
