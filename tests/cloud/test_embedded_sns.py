"""SNS of the embedded AWS: confirmations, signatures a receiver can verify, CloudWatch's message, retries."""

from __future__ import annotations

import json

import pytest
from cryptography.exceptions import InvalidSignature
from embedded_tools import eventually, http, verify
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloud.embedded.signing import string_to_sign


def topic_with(endpoint: str, **topic: object) -> dict:
    return {
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": topic},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "http", "Endpoint": endpoint},
        },
    }


def confirmed(client, topic: str) -> bool:
    return client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"


@pytest.mark.parametrize("version", ["1", "2"])
def test_stack_made_subscription_is_confirmed_and_messages_are_signed(stack, client, receiver, version):
    made = stack(f"signed-{version}", topic_with(receiver.url, SignatureVersion=version))
    topic = made.ids()["Topic"]
    eventually(lambda: confirmed(client, topic), "the confirmation")
    (asked,) = receiver.messages("SubscriptionConfirmation")
    assert asked["SignatureVersion"] == version
    verify(asked)
    for subject in ("A subject", None):
        client("sns").publish(
            TopicArn=topic, Message="Grüße: 3 > 2\nline two", **({"Subject": subject} if subject else {})
        )
    first, second = eventually(lambda: len(receiver.messages()) == 2 and receiver.messages(), "two messages")
    for message in (first, second):
        verify(message)
        forged = {**message, "Message": "something else"}
        with pytest.raises(InvalidSignature):
            verify(forged)
    headers, message = receiver.received[-1]
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-message-id"] == message["MessageId"]
    assert headers["x-amz-sns-topic-arn"] == topic
    assert headers["x-amz-sns-subscription-arn"] == made.ids()["Subscription"]


def test_inline_subscription_of_a_topic_and_one_made_by_the_api_are_confirmed(stack, client, receiver):
    inline = {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"Subscription": [{"Protocol": "http", "Endpoint": receiver.url}]},
        }
    }
    topic = stack("inline", inline).ids()["Topic"]
    eventually(lambda: confirmed(client, topic), "the confirmation")
    other = client("sns").create_topic(Name="by-api")["TopicArn"]
    assert (
        client("sns").subscribe(TopicArn=other, Protocol="http", Endpoint=receiver.url)["SubscriptionArn"]
        == "pending confirmation"
    )
    eventually(lambda: confirmed(client, other), "the confirmation")
    for message in receiver.messages("SubscriptionConfirmation"):
        verify(message)


def test_nothing_is_sent_before_the_confirmation(stack, client, receiver):
    receiver.confirms = False
    topic = stack("silent", topic_with(receiver.url)).ids()["Topic"]
    (asked,) = eventually(lambda: receiver.messages("SubscriptionConfirmation"), "the confirmation request")
    client("sns").publish(TopicArn=topic, Message="too early")
    assert http(asked["SubscribeURL"])[0] == 200
    client("sns").publish(TopicArn=topic, Message="in time")
    eventually(receiver.messages, "the message")
    assert [message["Message"] for message in receiver.messages()] == ["in time"]


def test_delivery_is_retried_on_server_errors_only(stack, client, receiver):
    topic = stack("retried", topic_with(receiver.url)).ids()["Topic"]
    eventually(lambda: confirmed(client, topic), "the confirmation")
    receiver.failures = [503]
    client("sns").publish(TopicArn=topic, Message="again")
    eventually(lambda: len(receiver.messages()) == 2, "the second attempt")
    assert [message["Message"] for message in receiver.messages()] == ["again", "again"]
    assert receiver.messages()[0]["MessageId"] == receiver.messages()[1]["MessageId"]
    receiver.failures = [400]
    client("sns").publish(TopicArn=topic, Message="never again")
    eventually(lambda: len(receiver.messages()) == 3, "the refused attempt")
    client("sns").publish(TopicArn=topic, Message="next")
    eventually(lambda: receiver.messages()[-1]["Message"] == "next", "the next message")
    assert len(receiver.messages()) == 4


def test_undeliverable_message_goes_to_the_dead_letter_queue(stack, client, receiver):
    resources = topic_with(receiver.url)
    resources["Dead"] = {"Type": "AWS::SQS::Queue"}
    resources["Policy"] = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": "Dead"}],
            "PolicyDocument": {
                "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]
            },
        },
    }
    resources["Subscription"]["Properties"]["RedrivePolicy"] = {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}
    ids = stack("dead", resources).ids()
    eventually(lambda: confirmed(client, ids["Topic"]), "the confirmation")
    receiver.failures = [404]
    client("sns").publish(TopicArn=ids["Topic"], Message="lost")
    received = eventually(
        lambda: client("sqs").receive_message(QueueUrl=ids["Dead"]).get("Messages"), "the message in the queue"
    )
    assert json.loads(received[0]["Body"])["Message"] == "lost"


def test_alarm_message_is_complete(stack, client, receiver, aws):
    metric = {"Namespace": "Test", "MetricName": "Latency", "Dimensions": [{"Name": "Api", "Value": "orders"}]}
    common = {
        "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching", "AlarmActions": [{"Ref": "Topic"}],
    }  # fmt: skip
    resources = topic_with(receiver.url) | {
        "Simple": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "simple",
                "AlarmDescription": "Runbook: x",
                **metric,
                "Statistic": "Average",
                "Period": 60,
                **common,
            },
        },
        "Slow": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {"AlarmName": "slow", **metric, "ExtendedStatistic": "p99", "Period": 60, **common},
        },
        "Math": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "math",
                "Metrics": [
                    {"Id": "e", "Expression": "m * 2", "Label": "twice"},
                    {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}, "ReturnData": False},
                ],
                **common,
            },
        },
        "Page": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "DependsOn": ["Simple"],
            "Properties": {"AlarmName": "page", "AlarmRule": 'ALARM("simple")', "AlarmActions": [{"Ref": "Topic"}]},
        },
    }
    topic = stack("message", resources).ids()["Topic"]
    eventually(lambda: confirmed(client, topic), "the confirmation")
    client("cloudwatch").put_metric_data(
        Namespace="Test", MetricData=[{"MetricName": "Latency", "Value": 9, "Dimensions": metric["Dimensions"]}]
    )
    aws.next_minute()
    eventually(lambda: len(receiver.alarms()) == 4, "four alarms")
    alarms = {alarm["AlarmName"]: alarm for alarm in receiver.alarms()}
    simple = alarms["simple"]
    assert set(simple) == {
        "AlarmName", "AlarmDescription", "AWSAccountId", "AlarmConfigurationUpdatedTimestamp", "NewStateValue",
        "NewStateReason", "StateChangeTime", "Region", "AlarmArn", "OldStateValue", "OKActions", "AlarmActions",
        "InsufficientDataActions", "Trigger",
    }  # fmt: skip
    assert simple["AlarmArn"] == f"arn:aws:cloudwatch:{aws.region}:000000000000:alarm:simple"
    assert (simple["OldStateValue"], simple["NewStateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
    assert (simple["Region"], simple["AlarmActions"], simple["OKActions"]) == ("EU (Ireland)", [topic], [])
    assert simple["Trigger"] == {
        "MetricName": "Latency", "Namespace": "Test", "StatisticType": "Statistic", "Statistic": "AVERAGE",
        "Unit": None, "Dimensions": [{"value": "orders", "name": "Api"}], "Period": 60, "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 5.0,
        "TreatMissingData": "notBreaching", "EvaluateLowSampleCountPercentile": "",
    }  # fmt: skip
    assert alarms["slow"]["Trigger"]["ExtendedStatistic"] == "p99"
    assert "Statistic" not in alarms["slow"]["Trigger"]
    expression, stat = alarms["math"]["Trigger"]["Metrics"]
    assert (expression["Expression"], expression["ReturnData"]) == ("m * 2", True)
    assert stat["MetricStat"]["Metric"]["Dimensions"] == [{"value": "orders", "name": "Api"}]
    assert alarms["page"]["AlarmRule"] == 'ALARM("simple")'
    assert [child["Arn"] for child in alarms["page"]["TriggeringChildren"]] == [simple["AlarmArn"]]
    assert "Trigger" not in alarms["page"]
    for message in receiver.messages():
        verify(message)


@given(st.dictionaries(st.sampled_from(["Message", "MessageId", "Subject", "Timestamp", "TopicArn"]), st.text()))
def test_string_to_sign_holds_each_signed_field_once_in_order(fields):
    message = {"Type": "Notification", **fields, "Signature": "no", "UnsubscribeURL": "no"}
    expected = "".join(f"{name}\n{message[name]}\n" for name in sorted({*fields, "Type"}))
    assert string_to_sign(message) == expected
