"""DynamoDB: the table and each index have metrics, capacity and alarms of their own."""

from __future__ import annotations

import pytest
from catalog_stacks import conditions, dimensions, only, reason, ref, stack

from tocsin.catalog import CATALOG
from tocsin.catalog.dynamodb_operations import COMMON, operations
from tocsin.cloudformation.symbolic import Symbolic

INDEXES = [
    {"IndexName": "by-user", "ProvisionedThroughput": {"ReadCapacityUnits": 20, "WriteCapacityUnits": 5}},
    {"IndexName": "ByDay", "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
]
PROVISIONED = {
    "ProvisionedThroughput": {"ReadCapacityUnits": "100", "WriteCapacityUnits": 10},
    "GlobalSecondaryIndexes": INDEXES,
}
ON_DEMAND = {"BillingMode": "PAY_PER_REQUEST", "GlobalSecondaryIndexes": [{"IndexName": "by-user"}]}
KINDS = [kind.id for kind in CATALOG["AWS::DynamoDB::Table"].alarm_kinds]


def table(properties, kind="AWS::DynamoDB::Table", **others):
    return stack(Orders=(kind, properties), **others)["Orders"]


def metric_names(condition):
    return [query.stat.metric.name for query in condition.queries if query.stat]


@pytest.mark.parametrize("direction", ["Read", "Write"])
def test_throttles_are_watched_on_the_table_and_on_each_index(direction):
    found = conditions(table(PROVISIONED), f"dynamodb-table-{direction.lower()}-throttles")
    assert [condition.suffix for condition in found] == ["", "ByUser", "ByDay"]
    assert [dimensions(condition) for condition in found] == [
        {"TableName": "${OrdersName}"},
        {"TableName": "${OrdersName}", "GlobalSecondaryIndexName": "by-user"},
        {"TableName": "${OrdersName}", "GlobalSecondaryIndexName": "ByDay"},
    ]
    assert all(
        metric_names(condition) == [f"{direction}ThrottleEvents", f"Consumed{direction}CapacityUnits"]
        for condition in found
    )


def test_two_indexes_whose_names_read_alike_get_alarms_of_their_own():
    indexes = [{"IndexName": name} for name in ("by-user", "by_user", "by.user", "---")]
    found = conditions(table({**ON_DEMAND, "GlobalSecondaryIndexes": indexes}), "dynamodb-table-read-throttles")
    assert len({condition.suffix for condition in found}) == 5


def test_an_index_whose_name_only_a_deployment_knows_is_not_guessed():
    indexes = [{"IndexName": Symbolic("${Prefix}-by-user")}, "nonsense", {"IndexName": 7}]
    found = conditions(table({"GlobalSecondaryIndexes": indexes}), "dynamodb-table-read-throttles")
    assert [condition.suffix for condition in found] == [""]


@pytest.mark.parametrize(
    ("direction", "thresholds"),
    [("Read", {"": 100, "ByUser": 20, "ByDay": 1}), ("Write", {"": 10, "ByUser": 5, "ByDay": 1})],
)
def test_capacity_is_alarmed_at_80_percent_of_what_is_provisioned(direction, thresholds):
    found = conditions(table(PROVISIONED), f"dynamodb-table-{direction.lower()}-capacity")
    assert {condition.suffix: condition.threshold for condition in found} == {
        suffix: pytest.approx(0.8 * units * 300) for suffix, units in thresholds.items()
    }
    for condition in found:
        assert condition.queries[0].stat.statistic == "Sum"
        assert condition.queries[0].stat.period == 300
    assert "80 % of the provisioned" in found[0].because
    assert f"({thresholds['']} units a second)" in found[0].because


def test_an_on_demand_maximum_is_a_capacity():
    properties = {**ON_DEMAND, "OnDemandThroughput": {"MaxWriteRequestUnits": 50}}
    (found,) = conditions(table(properties), "dynamodb-table-write-capacity")
    assert (found.suffix, found.threshold) == ("", 0.8 * 50 * 300)
    assert "on demand without a maximum" in reason(table(properties), "dynamodb-table-read-capacity")


def test_auto_scaling_counts_by_the_most_it_may_provision():
    target = {
        "ResourceId": Symbolic("table/${Orders}"),
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
        "MaxCapacity": 400,
    }
    scaled = table(PROVISIONED, Scaling=("AWS::ApplicationAutoScaling::ScalableTarget", target))
    found = conditions(scaled, "dynamodb-table-write-capacity")
    assert found[0].threshold == 0.8 * 400 * 300
    assert "auto scaling" in found[0].because
    assert found[1].threshold == 0.8 * 5 * 300
    assert conditions(scaled, "dynamodb-table-read-capacity")[0].threshold == 0.8 * 100 * 300


@pytest.mark.parametrize(
    ("kind", "properties", "why"),
    [
        ("AWS::DynamoDB::Table", ON_DEMAND, "on demand without a maximum"),
        ("AWS::DynamoDB::Table", {"BillingMode": ref("Mode")}, "only known when it is deployed; give it with --param"),
        ("AWS::DynamoDB::Table", {}, "only known when it is deployed"),
        (
            "AWS::DynamoDB::Table",
            {"ProvisionedThroughput": {"ReadCapacityUnits": ref("Units"), "WriteCapacityUnits": ref("Units")}},
            "only known when it is deployed",
        ),
        ("AWS::DynamoDB::Table", {"ProvisionedThroughput": ref("Throughput")}, "only known when it is deployed"),
        ("AWS::Serverless::SimpleTable", {}, "on demand without a maximum"),
        ("AWS::DynamoDB::GlobalTable", {"BillingMode": "PROVISIONED"}, "scales by itself"),
    ],
)
def test_capacity_says_why_it_is_not_alarmed(kind, properties, why):
    for direction in ("read", "write"):
        assert why in reason(table(properties, kind), f"dynamodb-table-{direction}-capacity")


def test_a_simple_table_with_throughput_is_provisioned():
    properties = {"ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}
    simple = table(properties, "AWS::Serverless::SimpleTable")
    assert only(simple, "dynamodb-table-read-capacity").threshold == 0.8 * 5 * 300


def test_system_errors_are_read_per_operation_as_they_are_published():
    """SystemErrors by TableName alone does not exist, and a sum without FILL needs every operation to report at once."""
    condition = only(table(ON_DEMAND), "dynamodb-table-system-errors")
    stats = [query.stat for query in condition.queries if query.stat]
    assert len(stats) <= 10
    errors = [stat.metric for stat in stats if stat.metric.name == "SystemErrors"]
    assert [dict(metric.dimensions)["Operation"] for metric in errors] == list(COMMON)
    assert all(set(dict(metric.dimensions)) == {"TableName", "Operation"} for metric in errors)
    total = next(query.expression for query in condition.queries if query.id == "errors")
    assert total.count("FILL(") == len(errors)


def role(*actions, resource=None):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource or ref("Orders.Arn")}
    return ("AWS::IAM::Role", {"Policies": [{"PolicyDocument": {"Statement": [statement]}}]})


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ({}, COMMON),
        ({"Reader": role("dynamodb:Query")}, ("Query",)),
        ({"Reader": role("dynamodb:Query"), "Writer": role("dynamodb:PutItem")}, ("Query", "PutItem")),
        ({"Reader": role("dynamodb:*Get*")}, ("GetItem", "BatchGetItem", "TransactGetItems")),
        ({"Admin": role("dynamodb:*")}, COMMON),
        ({"Reader": role("dynamodb:Query", resource="*")}, COMMON),
        ({"Reader": role("dynamodb:Query", resource=ref("Other.Arn"))}, COMMON),
        ({"Reader": role("s3:GetObject")}, COMMON),
        ({"Broken": ("AWS::IAM::Role", {"Policies": ref("Policies")})}, COMMON),
    ],
)
def test_the_operations_are_those_that_the_template_allows(roles, expected):
    assert operations(table(ON_DEMAND, **roles)) == expected


def test_fewer_operations_cost_less():
    condition = only(table(ON_DEMAND, Reader=role("dynamodb:Query")), "dynamodb-table-system-errors")
    assert len(metric_names(condition)) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, 7, "text", [], [[]], {}, True, float("nan"), Symbolic("${X}")])
def test_no_property_makes_a_table_crash(kind, value):
    names = ("BillingMode", "GlobalSecondaryIndexes", "ProvisionedThroughput", "OnDemandThroughput", "TableName")
    for name in names:
        for type_ in ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable", "AWS::Serverless::SimpleTable"):
            resource = table({name: value}, type_)
            {found.id: found for found in CATALOG[type_].alarm_kinds}[kind].conditions(resource)
            CATALOG[type_].panels(resource)
