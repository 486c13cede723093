"""How many alarm changes the embedded AWS carries to an endpoint: a thousand within a minute, and none lost."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from embedded_tools import eventually

pytestmark = pytest.mark.long

ALARMS, CHANGES = 50, 1000


@pytest.fixture(scope="module")
def changing(client) -> Any:
    """``changing(topic)``: a thousand state changes, each with its number in the reason; seconds they took."""
    import boto3  # noqa: F401  # loaded before the threads begin

    def change(topic: str) -> float:
        cloudwatch = client("cloudwatch")
        for number in range(ALARMS):
            cloudwatch.put_metric_alarm(
                AlarmName=f"busy-{number}", Namespace="Test", MetricName="Busy", Statistic="Sum", Period=60, Threshold=1,
                EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
                AlarmActions=[topic], OKActions=[topic],
            )  # fmt: skip

        def turn(alarm: int) -> None:
            for place in range(CHANGES // ALARMS):
                state = "ALARM" if place % 2 == 0 else "OK"
                reason = f"change {alarm * (CHANGES // ALARMS) + place}"
                cloudwatch.set_alarm_state(AlarmName=f"busy-{alarm}", StateValue=state, StateReason=reason)

        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(turn, range(ALARMS)))
        return time.monotonic() - started

    yield change
    cloudwatch = client("cloudwatch")
    cloudwatch.delete_alarms(AlarmNames=[f"busy-{number}" for number in range(ALARMS)])


def subscribed(client: Any, receiver: Any, name: str) -> tuple[str, str]:
    sns, sqs = client("sns"), client("sqs")
    topic, url = sns.create_topic(Name=name)["TopicArn"], sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="http", Endpoint=receiver.url,
        Attributes={
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": queue}),
            "DeliveryPolicy": json.dumps({"healthyRetryPolicy": {"numRetries": 5, "minDelayTarget": 60, "maxDelayTarget": 300}}),
        },
    )  # fmt: skip
    confirmed = lambda: sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"  # noqa: E731
    eventually(confirmed, "the confirmation")
    return topic, url


def numbers(messages: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.loads(message["Message"])["NewStateReason"] for message in messages)


def test_each_of_a_thousand_changes_within_a_minute_is_delivered(client, receiver, changing, record_property):
    topic, _ = subscribed(client, receiver, "busy")
    took = changing(topic)
    eventually(lambda: len(receiver.messages()) >= CHANGES, "a thousand messages", 60)
    assert set(numbers(receiver.messages())) == {f"change {number}" for number in range(CHANGES)}
    record_property("seconds", round(took, 1))
    assert took < 60  # the promise is a thousand within a minute


def test_endpoint_that_is_down_meanwhile_loses_nothing(client, receiver, aws, changing):
    topic, queue = subscribed(client, receiver, "down")
    # The first 1,500 posts fail: some messages come through later, others use up their attempts.
    receiver.failures = [503] * 1500
    changing(topic)
    eventually(lambda: aws.deliveries_under_way == 0, "the end of all attempts", 120)
    taken = Counter(numbers(receiver.messages()))
    redriven: Counter[str] = Counter()
    sqs = client("sqs")
    while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        redriven += numbers([json.loads(message["Body"]) for message in found])
        for message in found:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    wanted = {f"change {number}" for number in range(CHANGES)}
    assert set(taken) == wanted  # each was tried
    assert sum(taken.values()) == CHANGES + 1500 - sum(redriven.values())
    assert max(redriven.values(), default=1) == 1
