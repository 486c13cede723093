"""Name parameters: how the name that metrics carry follows from each kind of deployed resource."""

from __future__ import annotations

import pytest
from plain_server import Server, make_stack

from tocsin.catalog.entry import NameSource as CatalogNameSource
from tocsin.cloud.names import NameRule, NameSource, name_rules, resolve_names
from tocsin.cloud.session import Cloud
from tocsin.cloudformation.document import parse
from tocsin.errors import CloudError, TemplateError

pytest_plugins = ["plain_ministack"]

WATCHED = """
Resources:
  Orders: {Type: 'AWS::SQS::Queue'}
  News: {Type: 'AWS::SNS::Topic'}
  Api: {Type: 'AWS::ApiGateway::RestApi', Properties: {Name: the-api}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Daily:
    Type: AWS::Events::Rule
    Properties: {ScheduleExpression: rate(1 day)}
"""


def test_the_sources_are_those_of_the_catalog() -> None:
    assert {source.name: source.value for source in NameSource} == {
        source.name: source.value for source in CatalogNameSource
    }


def test_each_source_gives_the_name_that_metrics_carry(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    make_stack(plain_aws, unused, WATCHED)
    rules = [
        NameRule("OrdersName", "Orders", "AWS::SQS::Queue", NameSource.LAST_PATH_SEGMENT),
        NameRule("NewsName", "News", "AWS::SNS::Topic", NameSource.LAST_ARN_SEGMENT),
        NameRule("ApiName", "Api", "AWS::ApiGateway::RestApi", NameSource.REST_API_NAME),
        NameRule("TableName", "Table", "AWS::DynamoDB::Table", NameSource.PHYSICAL_ID),
        NameRule("DailyName", "Daily", "AWS::Events::Rule", NameSource.AFTER_BAR),
    ]
    found = resolve_names(plain_cloud, unused, rules, "alarms/shop.yaml")

    queues = plain_aws.client("sqs").list_queues(QueueNamePrefix=unused)["QueueUrls"]
    topics = [
        topic["TopicArn"] for topic in plain_aws.client("sns").list_topics()["Topics"] if unused in topic["TopicArn"]
    ]
    tables = [table for table in plain_aws.client("dynamodb").list_tables()["TableNames"] if unused in table]
    [rule] = plain_aws.client("events").list_rules(NamePrefix=unused)["Rules"]
    assert len(queues) == len(topics) == len(tables) == 1
    assert found == {
        "OrdersName": queues[0].rsplit("/", 1)[1],
        "NewsName": topics[0].rsplit(":", 1)[1],
        "ApiName": "the-api",
        "TableName": tables[0],
        "DailyName": rule["Name"],
    }


def test_a_missing_stack(plain_cloud: Cloud, unused: str) -> None:
    with pytest.raises(
        CloudError, match=rf"stack {unused} does not exist in eu-west-1; deploy the system that a\.yaml"
    ):
        resolve_names(plain_cloud, unused, [], "a.yaml")


def test_a_missing_resource_names_the_nearest(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    make_stack(plain_aws, unused, "Resources: {Orders: {Type: 'AWS::SQS::Queue'}}")
    rule = NameRule("OrderName", "Order", "AWS::SQS::Queue", NameSource.LAST_PATH_SEGMENT)
    with pytest.raises(
        CloudError, match=r"has no Order \(AWS::SQS::Queue\), which a\.yaml watches: did you mean 'Orders'"
    ):
        resolve_names(plain_cloud, unused, [rule], "a.yaml")


def test_a_resource_that_may_be_missing_has_an_empty_name(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    make_stack(plain_aws, unused, "Resources: {Orders: {Type: 'AWS::SQS::Queue'}}")
    rule = NameRule("OrderName", "Order", "AWS::SQS::Queue", NameSource.LAST_PATH_SEGMENT, optional=True)
    assert resolve_names(plain_cloud, unused, [rule], "a.yaml") == {"OrderName": ""}


def test_a_resource_of_another_type(plain_aws: Server, plain_cloud: Cloud, unused: str) -> None:
    make_stack(plain_aws, unused, "Resources: {Orders: {Type: 'AWS::SQS::Queue'}}")
    rule = NameRule("OrdersName", "Orders", "AWS::SNS::Topic", NameSource.LAST_ARN_SEGMENT)
    with pytest.raises(CloudError, match=r"Orders is a AWS::SQS::Queue, but a\.yaml watches a AWS::SNS::Topic"):
        resolve_names(plain_cloud, unused, [rule], "a.yaml")


TEMPLATE = """
Metadata:
  Tocsin: {System: shop, Owner: shop, Names: %s}
Parameters:
  OrdersName: {Type: String}
  MaybeName: {Type: String, Default: ''}
Resources: {}
"""


def test_rules_are_read_from_the_template() -> None:
    names = """{
      OrdersName: {LogicalId: Orders, Type: 'AWS::SQS::Queue', Source: LastPathSegment},
      MaybeName: {LogicalId: Maybe, Type: 'AWS::SNS::Topic', Source: LastArnSegment}}"""
    assert name_rules(parse(TEMPLATE % names, "a.yaml")) == (
        NameRule("MaybeName", "Maybe", "AWS::SNS::Topic", NameSource.LAST_ARN_SEGMENT, optional=True),
        NameRule("OrdersName", "Orders", "AWS::SQS::Queue", NameSource.LAST_PATH_SEGMENT),
    )


def test_a_template_without_names_has_no_rules() -> None:
    assert name_rules(parse("Resources: {}", "a.yaml")) == ()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            "{OrderName: {}}",
            r"a\.yaml: Metadata\.Tocsin\.Names\.OrderName: no such parameter; did you mean 'OrdersName'",
        ),
        ("{OrdersName: {LogicalId: A, Type: B}}", "Source is missing; run `tocsin build` again"),
        ("{OrdersName: text}", "LogicalId is missing"),
        (
            "{OrdersName: {LogicalId: A, Type: B, Source: PhysicalID}}",
            "unknown Source 'PhysicalID'; did you mean 'PhysicalId'",
        ),
    ],
)
def test_rules_that_are_none(names: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        name_rules(parse(TEMPLATE % names, "a.yaml"))
