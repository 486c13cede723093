"""Metrics of the embedded AWS: published by what really happened, in the dimensions AWS publishes them in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from embedded_tools import ROLE, eventually, function, http, rest_api


@pytest.fixture
def metric(client, aws) -> Callable[..., dict[str, float] | None]:
    """``metric("AWS/SQS", "X", QueueName="q")``: the five statistics over the last simulated hours; None without data."""

    def read(namespace: str, name: str, **dimensions: str) -> dict[str, float] | None:
        statistics = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
        now = aws.now()
        answer = client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                {
                    "Id": f"m{index}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": namespace,
                            "MetricName": name,
                            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                        },
                        "Period": 36000,
                        "Stat": statistic,
                    },
                }
                for index, statistic in enumerate(statistics)
            ],
            StartTime=now - timedelta(hours=9),
            EndTime=now + timedelta(hours=1),
        )
        values = [result["Values"] for result in answer["MetricDataResults"]]
        return {name: value[0] for name, value in zip(statistics, values, strict=True)} if values[0] else None

    return read


def test_lambda_counts_every_invocation_whoever_made_it(stack, client, metric):
    made = stack(
        "counted",
        {
            "Role": ROLE,
            "Function": function("counted"),
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Mapping": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "BatchSize": 1,
                },
            },
        },
    )
    functions = client("lambda")
    functions.invoke(FunctionName="counted", Payload=b'{"x": 1}')
    failed = functions.invoke(FunctionName="counted", Payload=b'{"x": "crash"}')
    assert failed["FunctionError"]
    client("sqs").send_message(QueueUrl=made.ids()["Queue"], MessageBody="one")
    of = {"FunctionName": "counted"}
    eventually(lambda: (metric("AWS/Lambda", "Invocations", **of) or {}).get("Sum") == 3, "three invocations")
    assert metric("AWS/Lambda", "Errors", **of) == {
        "SampleCount": 3,
        "Sum": 1,
        "Average": pytest.approx(1 / 3),
        "Minimum": 0,
        "Maximum": 1,
    }
    assert metric("AWS/Lambda", "Throttles", **of)["Sum"] == 0
    duration = metric("AWS/Lambda", "Duration", **of)
    assert duration["SampleCount"] == 3
    assert 0 < duration["Maximum"] < 1000
    assert metric("AWS/Lambda", "ConcurrentExecutions", **of)["Maximum"] >= 1


def test_lambda_throttle_is_neither_invocation_nor_error(stack, client, metric):
    stack("throttled", {"Role": ROLE, "Function": function("throttled", ReservedConcurrentExecutions=0)})
    once = client("lambda", retries=0)
    with pytest.raises(once.exceptions.TooManyRequestsException):
        once.invoke(FunctionName="throttled", Payload=b"{}")
    assert metric("AWS/Lambda", "Throttles", FunctionName="throttled")["Sum"] == 1
    assert metric("AWS/Lambda", "Invocations", FunctionName="throttled") is None
    assert metric("AWS/Lambda", "Errors", FunctionName="throttled") is None


def test_lambda_timeout_is_an_error_with_its_duration(stack, client, metric):
    stack("late", {"Role": ROLE, "Function": function("late", Timeout=1)})
    answer = client("lambda").invoke(FunctionName="late", Payload=b'{"x": "slow"}')
    assert "timed out" in json.load(answer["Payload"])["errorMessage"]
    assert metric("AWS/Lambda", "Errors", FunctionName="late")["Sum"] == 1
    assert metric("AWS/Lambda", "Duration", FunctionName="late")["Maximum"] >= 1000


def test_sqs_counters_and_gauges(stack, client, aws, metric):
    url = stack("depth", {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "depth"}}}).ids()["Queue"]
    sqs, of = client("sqs"), {"QueueName": "depth"}
    aws.next_minute()
    assert metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", **of) is None
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": f"body {n}"} for n in range(3)])
    (taken,) = sqs.receive_message(QueueUrl=url)["Messages"]
    aws.next_minute()
    assert metric("AWS/SQS", "NumberOfMessagesSent", **of)["Sum"] == 3
    assert metric("AWS/SQS", "NumberOfMessagesReceived", **of)["Sum"] == 1
    assert metric("AWS/SQS", "SentMessageSize", **of)["Average"] == 6
    assert metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", **of)["Maximum"] == 2
    assert metric("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", **of)["Maximum"] == 1
    young = metric("AWS/SQS", "ApproximateAgeOfOldestMessage", **of)["Maximum"]
    aws.advance(3600)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"])
    aws.next_minute()
    assert metric("AWS/SQS", "NumberOfMessagesDeleted", **of)["Sum"] == 1
    assert metric("AWS/SQS", "ApproximateAgeOfOldestMessage", **of)["Maximum"] >= young + 3600
    sqs.purge_queue(QueueUrl=url)
    sqs.receive_message(QueueUrl=url)
    before = metric("AWS/SQS", "ApproximateAgeOfOldestMessage", **of)["SampleCount"]
    aws.next_minute()
    assert metric("AWS/SQS", "NumberOfEmptyReceives", **of)["Sum"] == 1
    assert metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", **of)["Minimum"] == 0
    assert metric("AWS/SQS", "ApproximateAgeOfOldestMessage", **of)["SampleCount"] == before


def test_sqs_redrive_fills_the_dead_letter_queue_without_counting_as_sent(stack, client, aws, metric):
    made = stack(
        "redrive",
        {
            "Role": ROLE,
            "Function": function("redriven"),
            "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead"}},
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Properties": {
                    "QueueName": "alive",
                    "VisibilityTimeout": 1,
                    "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 1},
                },
            },
            "Mapping": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "BatchSize": 1,
                },
            },
        },
    )
    client("sqs").send_message(QueueUrl=made.ids()["Queue"], MessageBody="crash")

    def dead() -> bool:
        aws.next_minute()
        return bool((metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName="dead") or {}).get("Maximum"))

    eventually(dead, "the message in the dead-letter queue")
    assert metric("AWS/SQS", "NumberOfMessagesSent", QueueName="dead")["Sum"] == 0
    assert metric("AWS/SQS", "NumberOfMessagesSent", QueueName="alive")["Sum"] == 1
    # On a busy machine the message may be given up before the function that failed on it has ended.
    errors = eventually(lambda: metric("AWS/Lambda", "Errors", FunctionName="redriven"), "the failed invocation")
    assert errors["Sum"] == 1


def test_rest_api_samples_each_request(stack, aws, metric):
    made = stack("rest", {"Role": ROLE, "Function": function("behind-rest"), **rest_api("orders")})
    base = f"{aws.endpoint}/_aws/execute-api/{made.ids()['Api']}/prod"
    assert http(f"{base}/items")[0] == 200
    assert http(f"{base}/items?x=crash")[0] == 502
    assert http(f"{base}/items?x=status400")[0] == 400
    assert http(f"{base}/nothing")[0] == 403
    for of in ({"ApiName": "orders"}, {"ApiName": "orders", "Stage": "prod"}):
        assert metric("AWS/ApiGateway", "Count", **of) == {
            "SampleCount": 4,
            "Sum": 4,
            "Average": 1,
            "Minimum": 1,
            "Maximum": 1,
        }
        assert metric("AWS/ApiGateway", "5XXError", **of)["Average"] == 0.25
        assert metric("AWS/ApiGateway", "4XXError", **of)["Average"] == 0.5
        latency, integration = (
            metric("AWS/ApiGateway", "Latency", **of),
            metric("AWS/ApiGateway", "IntegrationLatency", **of),
        )
        assert (latency["SampleCount"], integration["SampleCount"]) == (4, 3)
        assert latency["Maximum"] >= integration["Maximum"] > 0
    assert http(f"{base[: -len('prod')]}other/items")[0] == 403
    assert metric("AWS/ApiGateway", "Count", ApiName="orders", Stage="other") is None


def test_http_api_samples_each_request(stack, aws, metric):
    made = stack(
        "http",
        {
            "Role": ROLE,
            "Function": function("behind-http"),
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "web", "ProtocolType": "HTTP"}},
            "Integration": {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": "Api"}, "IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0",
                    "IntegrationUri": {"Fn::GetAtt": ["Function", "Arn"]},
                },
            },
            "Route": {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {"ApiId": {"Ref": "Api"}, "RouteKey": "GET /items", "Target": {"Fn::Sub": "integrations/${Integration}"}},
            },
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "live", "DefaultRouteSettings": {"ThrottlingBurstLimit": 7}},
            },
        },
    )  # fmt: skip
    api = made.ids()["Api"]
    base = f"{aws.endpoint}/_aws/execute-api/{api}/live"
    assert http(f"{base}/items")[0] == 200
    assert http(f"{base}/items?x=crash")[0] in (500, 502)
    assert http(f"{base}/nothing")[0] == 404
    for of in ({"ApiId": api}, {"ApiId": api, "Stage": "live"}):
        assert metric("AWS/ApiGateway", "Count", **of)["SampleCount"] == 3
        assert metric("AWS/ApiGateway", "5xx", **of)["Sum"] == 1
        assert metric("AWS/ApiGateway", "4xx", **of)["Sum"] == 1
        assert metric("AWS/ApiGateway", "IntegrationLatency", **of)["SampleCount"] == 2
        assert metric("AWS/ApiGateway", "DataProcessed", **of)["Sum"] > 0


def test_dynamodb_measures_requests(stack, client, metric):
    key = {"AttributeName": "id", "AttributeType": "S"}
    stack(
        "table",
        {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": "things",
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [key],
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                },
            }
        },
    )
    table = client("dynamodb")
    answer = table.put_item(TableName="things", Item={"id": {"S": "a"}})
    assert "ConsumedCapacity" not in answer
    table.put_item(TableName="things", Item={"id": {"S": "b"}, "text": {"S": "x" * 3000}})
    answer = table.get_item(TableName="things", Key={"id": {"S": "a"}}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 0.5
    with pytest.raises(table.exceptions.ConditionalCheckFailedException):
        table.put_item(TableName="things", Item={"id": {"S": "a"}}, ConditionExpression="attribute_not_exists(id)")
    with pytest.raises(table.exceptions.ClientError):
        table.get_item(TableName="things", Key={"wrong": {"S": "a"}})
    latency = metric("AWS/DynamoDB", "SuccessfulRequestLatency", TableName="things", Operation="PutItem")
    assert latency["SampleCount"] == 2
    assert latency["Minimum"] > 0
    assert metric("AWS/DynamoDB", "ConsumedWriteCapacityUnits", TableName="things")["Sum"] == 4
    assert metric("AWS/DynamoDB", "ConsumedReadCapacityUnits", TableName="things")["Sum"] == 0.5
    assert metric("AWS/DynamoDB", "ConditionalCheckFailedRequests", TableName="things")["Sum"] == 1
    assert metric("AWS/DynamoDB", "UserErrors")["Sum"] == 1
    assert metric("AWS/DynamoDB", "ThrottledRequests", TableName="things", Operation="PutItem") is None


def scheduled(name: str, expression: str, target: object) -> dict:
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {"Name": name, "ScheduleExpression": expression, "Targets": [{"Id": "t", "Arn": target}]},
    }


def test_rules_follow_the_clock_and_can_be_fired(stack, client, aws, metric):
    target = {"Fn::GetAtt": ["Function", "Arn"]}
    stack(
        "rules",
        {
            "Role": ROLE,
            "Function": function("daily-job"),
            "Daily": scheduled("daily", "cron(0 6 * * ? *)", target),
            "Often": scheduled("often", "rate(10 minutes)", target),
            "Lost": scheduled("lost", "rate(7 days)", f"arn:aws:lambda:{aws.region}:000000000000:function:nobody"),
        },
    )

    def runs() -> float:
        return (metric("AWS/Lambda", "Invocations", FunctionName="daily-job") or {"Sum": 0})["Sum"]

    assert aws.fire("daily") == 1
    eventually(lambda: runs() == 1, "the fired run")
    assert metric("AWS/Events", "Invocations", RuleName="daily")["Sum"] == 1
    assert metric("AWS/Events", "TriggeredRules", RuleName="daily")["Sum"] == 1
    assert metric("AWS/Events", "FailedInvocations", RuleName="daily") is None
    aws.advance(601)
    eventually(lambda: metric("AWS/Events", "Invocations", RuleName="often"), "the rate rule")
    eventually(lambda: runs() >= 2, "the run of the rate rule")
    aws.fire("lost")
    assert metric("AWS/Events", "FailedInvocations", RuleName="lost")["Sum"] == 1


def test_cron_rule_fires_when_its_time_comes(stack, client, aws, metric):
    stack(
        "cron",
        {
            "Role": ROLE,
            "Function": function("at-six"),
            "Rule": scheduled("six", "cron(0 6 * * ? *)", {"Fn::GetAtt": ["Function", "Arn"]}),
        },
    )
    # At least a day away from the present, so that six o'clock comes once only.
    due = (aws.now() + timedelta(days=1)).replace(hour=6, minute=0, second=1)
    aws.advance((due - aws.now()).total_seconds())
    eventually(lambda: metric("AWS/Events", "Invocations", RuleName="six"), "six o'clock")
    eventually(lambda: metric("AWS/Lambda", "Invocations", FunctionName="at-six"), "the run")


def test_sns_counts_messages_and_deliveries(stack, client, metric, receiver):
    topic = stack("topic", {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "news"}}}).ids()["Topic"]
    sns = client("sns")
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=receiver.url)
    eventually(
        lambda: sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1",
        "the confirmation",
    )
    receiver.failures = [404]
    sns.publish(TopicArn=topic, Message="lost")
    eventually(lambda: metric("AWS/SNS", "NumberOfNotificationsFailed", TopicName="news"), "the failure")
    sns.publish(TopicArn=topic, Message="found")
    eventually(lambda: metric("AWS/SNS", "NumberOfNotificationsDelivered", TopicName="news"), "the delivery")
    assert metric("AWS/SNS", "NumberOfMessagesPublished", TopicName="news")["Sum"] == 2
