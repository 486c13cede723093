"""Deliveries of the embedded AWS: SNS's delivery policies, redriving, rates, mail, chat, logs of delivery status."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_tools import eventually, function, http
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloud.embedded.deliveries import PER_LANE, WORKERS, Deliveries
from tocsin.cloud.embedded.delivery_policy import LONGEST_SECONDS, read_subscription_policy, retry_delays

HOUR = {
    "numRetries": 50, "numNoDelayRetries": 3, "minDelayTarget": 5, "numMinDelayRetries": 7, "maxDelayTarget": 100,
    "numMaxDelayRetries": 20, "backoffFunction": "exponential",
}  # fmt: skip
# Every status in turn, and what SNS makes of it.
FINAL = (300, 301, 400, 401, 403, 404, 409, 410)
RETRIED = (429, 500, 502, 503, 504)


@pytest.fixture(autouse=True)
def quick(aws) -> Iterator[None]:
    """Retries without waiting for them: an hour is a tenth of a second."""
    aws.set_deliveries(speed=36000, timeout=15)
    yield
    aws.set_deliveries(speed=360, timeout=15)


@pytest.fixture
def topic(client, receiver, request) -> Any:
    """``topic(policy)``: a topic with a confirmed subscription and a redrive queue: (topic, subscription, queue URL)."""
    sns, sqs = client("sns"), client("sqs")
    made = []

    def create(policy: Any = None, **attributes: str) -> tuple[str, str, str]:
        name = f"delivery-{len(made)}-{receiver.url.rpartition(':')[2].partition('/')[0]}"
        arn = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        given = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": queue})}
        if policy is not None:
            given["DeliveryPolicy"] = json.dumps(policy)
        subscription = sns.subscribe(
            TopicArn=arn, Protocol="http", Endpoint=receiver.url, Attributes=given, ReturnSubscriptionArn=True
        )["SubscriptionArn"]
        made.append((arn, url))
        if receiver.confirms:
            eventually(lambda: pending(client, subscription) == "false", "the confirmation")
        return arn, subscription, url

    yield create
    for arn, url in made:
        sns.delete_topic(TopicArn=arn)
        sqs.delete_queue(QueueUrl=url)


def pending(client: Callable[..., Any], subscription: str) -> str:
    attributes: dict[str, str] = client("sns").get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    return attributes["PendingConfirmation"]


def redriven(client: Callable[..., Any], queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        client("sqs")
        .receive_message(QueueUrl=queue, MessageAttributeNames=["All"], MaxNumberOfMessages=10)
        .get("Messages", [])
    )
    return found


def counted(client: Callable[..., Any], aws: Any, topic: str, name: str) -> float:
    points = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SNS", MetricName=name, Dimensions=[{"Name": "TopicName", "Value": topic.rpartition(":")[2]}],
        StartTime=aws.now() - timedelta(hours=1), EndTime=aws.now() + timedelta(hours=1), Period=86400, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    return sum(point["Sum"] for point in points)


# The policy itself.


@pytest.mark.parametrize(
    ("retries", "delays"),
    [
        ({}, (20, 20, 20)),
        ({"maxDelayTarget": 40}, (20, 30, 40)),  # the developer guide's example
        ({"numRetries": 0}, ()),
        ({"numRetries": 3, "numNoDelayRetries": 2}, (0, 0, 20)),
        ({"numRetries": 6, "numNoDelayRetries": 1, "numMinDelayRetries": 2, "numMaxDelayRetries": 1, "minDelayTarget": 1,
          "maxDelayTarget": 9}, (0, 1, 1, 1, 9, 9)),
        ({"numRetries": 4, "minDelayTarget": 1, "maxDelayTarget": 8, "backoffFunction": "geometric"}, (1, 2, 4, 8)),
        ({"numRetries": 4, "minDelayTarget": 1, "maxDelayTarget": 8, "backoffFunction": "exponential"}, (1, 2, 4, 8)),
        ({"numRetries": 4, "minDelayTarget": 1, "maxDelayTarget": 7, "backoffFunction": "arithmetic"}, (1, 2, 4, 7)),
    ],
)  # fmt: skip
def test_delays_of_a_policy(retries, delays):
    assert retry_delays(retries) == pytest.approx(delays)


@given(
    st.fixed_dictionaries(
        {name: st.integers(0, 25) for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")}
    ),
    st.integers(0, 25), st.integers(1, 60), st.integers(0, 60),
    st.sampled_from(["linear", "arithmetic", "geometric", "exponential"]),
)  # fmt: skip
def test_delays_rise_from_the_least_to_the_most_and_are_as_many_as_the_retries(phases, backoff, low, more, shape):
    retries = {
        **phases, "numRetries": backoff + sum(phases.values()), "minDelayTarget": low, "maxDelayTarget": low + more,
        "backoffFunction": shape,
    }  # fmt: skip
    delays = retry_delays(retries)
    assert len(delays) == retries["numRetries"]
    assert list(delays) == sorted(delays)
    waits = [delay for delay in delays if delay]
    assert all(low - 1e-9 <= delay <= low + more + 1e-9 for delay in waits)
    allowed = retries["numRetries"] <= 100 and sum(delays) <= LONGEST_SECONDS
    try:
        policy = read_subscription_policy(json.dumps({"healthyRetryPolicy": retries}))
    except ValueError:
        assert not allowed
    else:
        assert allowed
        assert policy.delays == delays


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            {"healthyRetryPolicy": {"numRetries": 101}},
            "healthyRetryPolicy.numRetries must be less than or equal to 100",
        ),
        (
            {"healthyRetryPolicy": {"minDelayTarget": 0}},
            "healthyRetryPolicy.minDelayTarget must be greater than or equal to 1",
        ),
        ({"healthyRetryPolicy": {"minDelayTarget": 30}}, "must be less than or equal to maxDelayTarget"),
        ({"healthyRetryPolicy": {"numRetries": 2, "numNoDelayRetries": 3}}, "the sum of the retries"),
        ({"healthyRetryPolicy": {"backoffFunction": "random"}}, "backoffFunction must be one of"),
        ({"healthyRetryPolicy": {"numRetries": 37, "minDelayTarget": 100, "maxDelayTarget": 100}}, "3700 seconds"),
        ({"throttlePolicy": {"maxReceivesPerSecond": 0}}, "maxReceivesPerSecond must be greater"),
    ],
)
def test_policy_that_sns_refuses_is_refused_everywhere(client, stack, receiver, topic, policy, said):
    receiver.confirms = False
    arn, subscription, _ = topic()
    text = json.dumps(policy)
    calls = [
        lambda: client("sns").subscribe(
            TopicArn=arn, Protocol="http", Endpoint=receiver.url + "?apiKey=secret", Attributes={"DeliveryPolicy": text}
        ),
        lambda: client("sns").set_subscription_attributes(
            SubscriptionArn=subscription, AttributeName="DeliveryPolicy", AttributeValue=text
        ),
    ]
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "InvalidParameter"
        assert "Invalid parameter: " in str(refused.value)
        assert said in str(refused.value)
        assert "secret" not in str(refused.value)
    properties = {
        "TopicArn": arn,
        "Protocol": "http",
        "Endpoint": receiver.url + "?apiKey=secret",
        "DeliveryPolicy": policy,
    }
    cloudformation = client("cloudformation")
    body = json.dumps({"Resources": {"S": {"Type": "AWS::SNS::Subscription", "Properties": properties}}})
    cloudformation.create_stack(StackName="refused", TemplateBody=body)
    events = eventually(
        lambda: [
            event for event in cloudformation.describe_stack_events(StackName="refused")["StackEvents"]
            if event["ResourceStatus"] == "CREATE_FAILED"
        ],
        "the refusal",
    )  # fmt: skip
    assert any(said in event.get("ResourceStatusReason", "") for event in events)
    assert "secret" not in json.dumps(events, default=str)
    cloudformation.delete_stack(StackName="refused")


# Attempts.


@pytest.mark.parametrize("status", [*FINAL, *RETRIED])
def test_which_answers_are_final(client, topic, receiver, aws, status):
    arn, _, queue = topic({"healthyRetryPolicy": {"numRetries": 2, "minDelayTarget": 1, "maxDelayTarget": 1}})
    before = len(receiver.messages())
    receiver.failures = [status] * 3
    client("sns").publish(TopicArn=arn, Message="try")
    (message,) = eventually(lambda: redriven(client, queue), "the message in the redrive queue")
    assert len(receiver.messages()) - before == (3 if status in RETRIED else 1)
    assert json.loads(message["Body"])["Message"] == "try"
    attributes = message["MessageAttributes"]
    assert attributes["ErrorCode"]["StringValue"] == str(status)
    assert set(attributes) == {"RequestID", "ErrorCode", "ErrorMessage"}
    assert counted(client, aws, arn, "NumberOfNotificationsFailed") == 1
    assert counted(client, aws, arn, "NumberOfNotificationsRedrivenToDlq") == 1
    assert counted(client, aws, arn, "NumberOfNotificationsDelivered") == 0


def test_attempts_are_those_of_the_policy_and_the_last_one_counts(client, topic, receiver, aws):
    arn, subscription, queue = topic({"healthyRetryPolicy": HOUR})
    shown = client("sns").get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert json.loads(shown["DeliveryPolicy"]) == {"healthyRetryPolicy": HOUR}
    assert json.loads(shown["EffectiveDeliveryPolicy"])["healthyRetryPolicy"] == HOUR
    receiver.failures = [503] * 50
    client("sns").publish(TopicArn=arn, Message="at last")
    eventually(lambda: counted(client, aws, arn, "NumberOfNotificationsDelivered") == 1, "the delivery")
    assert [message["Message"] for message in receiver.messages()] == ["at last"] * 51
    assert redriven(client, queue) == []
    receiver.failures = [503] * 51
    client("sns").publish(TopicArn=arn, Message="too late")
    (message,) = eventually(lambda: redriven(client, queue), "the message in the redrive queue")
    assert json.loads(message["Body"])["Message"] == "too late"


def test_topic_policy_holds_for_subscriptions_without_one_and_may_override(client, topic, receiver, aws):
    def wanted(retries: int, override: bool) -> str:
        of_topic = {"defaultHealthyRetryPolicy": {"numRetries": retries}, "disableSubscriptionOverrides": override}
        return json.dumps({"http": of_topic})

    def tries(arn: str, queue: str) -> int:
        before = len(receiver.messages())
        receiver.failures = [500] * 9
        client("sns").publish(TopicArn=arn, Message="x")
        (message,) = eventually(lambda: redriven(client, queue), "the message in the redrive queue")
        client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        receiver.failures = []
        return len(receiver.messages()) - before

    arn, _, queue = topic(DeliveryPolicy=wanted(1, override=False))
    assert tries(arn, queue) == 2
    arn, _, queue = topic({"healthyRetryPolicy": {"numRetries": 4}}, DeliveryPolicy=wanted(1, override=False))
    assert tries(arn, queue) == 5
    client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="DeliveryPolicy", AttributeValue=wanted(1, override=True)
    )
    assert tries(arn, queue) == 2


def test_endpoint_that_does_not_answer_in_time_or_at_all_is_retried(client, topic, receiver, aws):
    arn, _, queue = topic({"healthyRetryPolicy": {"numRetries": 1}})
    aws.set_deliveries(timeout=0.2)
    receiver.failures = [200, 200]
    hang = threading.Event()
    receiver.received = Hanging(receiver.received, hang)
    client("sns").publish(TopicArn=arn, Message="slow")
    (message,) = eventually(lambda: redriven(client, queue), "the message in the redrive queue")
    hang.set()
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == "ConnectionError"
    assert receiver.url not in message["MessageAttributes"]["ErrorMessage"]["StringValue"]


class Hanging(list):  # type: ignore[type-arg]
    """A list whose append waits: an endpoint that hangs before it answers."""

    def __init__(self, content: list[Any], until: threading.Event) -> None:
        super().__init__(content)
        self._until = until

    def append(self, item: Any) -> None:
        super().append(item)
        self._until.wait(20)


def test_rate_of_a_subscription_is_kept(client, topic, receiver):
    arn, _, _ = topic({"throttlePolicy": {"maxReceivesPerSecond": 20}})
    started = time.monotonic()
    for number in range(11):
        client("sns").publish(TopicArn=arn, Message=str(number))
    eventually(lambda: len(receiver.messages()) == 11, "eleven messages")
    # Never faster; slower is the machine's business.
    assert time.monotonic() - started >= 0.5


def test_content_type_and_raw_delivery(client, topic, receiver):
    arn, subscription, _ = topic({"requestPolicy": {"headerContentType": "application/json"}})
    client("sns").set_subscription_attributes(
        SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    client("sns").publish(TopicArn=arn, Message=json.dumps({"Type": "Notification", "own": 1}))
    headers, message = eventually(lambda: receiver.messages() and receiver.received[-1], "the message")
    assert message == {"Type": "Notification", "own": 1}
    assert headers["content-type"] == "application/json"
    assert headers["x-amz-sns-rawdelivery"] == "true"
    assert headers["x-amz-sns-subscription-arn"] == subscription


def test_redrive_queue_that_is_gone_is_counted(client, topic, receiver, aws):
    arn, _, queue = topic()
    client("sqs").delete_queue(QueueUrl=queue)
    receiver.failures = [400]
    client("sns").publish(TopicArn=arn, Message="lost")
    name = "NumberOfNotificationsFailedToRedriveToDlq"
    eventually(lambda: counted(client, aws, arn, name) == 1, "the count")
    client("sqs").create_queue(QueueName=queue.rpartition("/")[2])


def test_queues_and_functions_that_are_gone_are_client_errors(client, stack, aws):
    made = stack("gone", {
        "Topic": {"Type": "AWS::SNS::Topic"}, "Dead": {"Type": "AWS::SQS::Queue"},
        "Filtered": {"Type": "AWS::SQS::Queue"},
        **{
            name: {
                "Type": "AWS::SNS::Subscription",
                "Properties": {
                    "TopicArn": {"Ref": "Topic"}, "Protocol": protocol,
                    "Endpoint": {"Fn::Sub": f"arn:aws:{protocol}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"},
                    "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                },
            }
            for name, protocol, rest in (("Queue", "sqs", "nowhere"), ("Function", "lambda", "function:nowhere"))
        },
        "Other": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["Filtered", "Arn"]},
                "FilterPolicy": {"severity": ["page"]},
            },
        },
    })  # fmt: skip
    ids = made.ids()
    client("sns").publish(TopicArn=ids["Topic"], Message="to nobody")
    found = eventually(lambda: len(seen := redriven(client, ids["Dead"])) == 2 and seen, "both messages")
    codes = {message["MessageAttributes"]["ErrorCode"]["StringValue"] for message in found}
    assert codes == {"AWS.SimpleQueueService.NonExistentQueue", "ResourceNotFoundException"}
    assert redriven(client, ids["Filtered"]) == []
    assert counted(client, aws, ids["Topic"], "NumberOfNotificationsFilteredOut") == 1
    client("sns").publish(
        TopicArn=ids["Topic"], Message="page",
        MessageAttributes={"severity": {"DataType": "String", "StringValue": "page"}},
    )  # fmt: skip
    assert len(redriven(client, ids["Filtered"])) == 1


def test_function_gets_the_message_as_sns_writes_it(client, stack):
    from embedded_tools import ROLE

    code = "import json\ndef handler(event, context):\n    print('got', json.dumps(event))\n"
    made = stack("told", {
        "Role": ROLE, "Function": function("told", code), "Topic": {"Type": "AWS::SNS::Topic"},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "lambda", "Endpoint": {"Fn::GetAtt": ["Function", "Arn"]}},
        },
    })  # fmt: skip
    client("sns").publish(TopicArn=made.ids()["Topic"], Message="hello", Subject="s")

    def line() -> str | None:
        try:
            events = client("logs").filter_log_events(logGroupName="/aws/lambda/told")["events"]
        except ClientError:
            return None
        return next((event["message"] for event in events if "got" in event["message"]), None)

    record = json.loads(eventually(line, "the function").partition("got ")[2])["Records"][0]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == made.ids()["Subscription"]
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("hello", "s")
    assert "SigningCertUrl" in record["Sns"]


# Mail, chat, logs.


def test_mail_waits_for_its_confirmation_and_is_kept(client, aws):
    sns = client("sns")
    topic = sns.create_topic(Name="mailed")["TopicArn"]
    address = "engagement-primary@example.com"
    answer = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
    assert answer["SubscriptionArn"] == "pending confirmation"
    assert [each["SubscriptionArn"] for each in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == [
        "PendingConfirmation"
    ]
    sns.publish(TopicArn=topic, Message="too early")
    mine = lambda: [mail for mail in aws.mails if mail["topic"] == topic]  # noqa: E731
    (asked,) = mine()
    assert (asked["to"], asked["kind"]) == (address, "confirmation")
    assert http(asked["confirm"])[0] == 200
    sns.publish(TopicArn=topic, Message="in time", Subject="Ticket")
    told = mine()[-1]
    assert (told["to"], told["kind"], told["subject"], told["body"]) == (address, "notification", "Ticket", "in time")
    with pytest.raises(ClientError, match="Invalid parameter: Email address"):
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="nobody")


def test_mail_of_a_stack_is_confirmed_at_once_if_wanted(client, stack, aws):
    def resources(address: str) -> dict[str, Any]:
        inline = [{"Protocol": "email", "Endpoint": address}]
        return {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"Subscription": inline}}}

    waiting = stack("mail-waits", resources("waits@example.com")).ids()["Topic"]
    assert client("sns").get_topic_attributes(TopicArn=waiting)["Attributes"]["SubscriptionsPending"] == "1"
    aws.confirm_mail()
    topic = stack("mail-confirms", resources("confirms@example.com")).ids()["Topic"]
    aws.confirm_mail(confirms=False)
    assert client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"
    client("sns").publish(TopicArn=topic, Message="x")
    assert [mail["to"] for mail in aws.mails if mail["topic"] == topic] == ["confirms@example.com"] * 2


def test_chat_shows_what_its_topics_publish(client, stack, aws):
    properties = {
        "ConfigurationName": "tickets", "SlackWorkspaceId": "T0123456", "SlackChannelId": "C0123456",
        "IamRoleArn": "arn:aws:iam::000000000000:role/chat", "SnsTopicArns": [{"Ref": "Topic"}], "LoggingLevel": "ERROR",
        "GuardrailPolicies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    }  # fmt: skip
    resources = {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Chat": {"Type": "AWS::Chatbot::SlackChannelConfiguration", "Properties": properties},
    }
    made = stack("chat", resources)
    ids = made.ids()
    (shown,) = client("chatbot").describe_slack_channel_configurations()["SlackChannelConfigurations"]
    assert shown["ChatConfigurationArn"] == ids["Chat"]
    assert (shown["SlackTeamId"], shown["SlackChannelId"]) == ("T0123456", "C0123456")
    assert (shown["SnsTopicArns"], shown["LoggingLevel"]) == ([ids["Topic"]], "ERROR")
    assert shown["GuardrailPolicyArns"] == properties["GuardrailPolicies"]
    client("sns").publish(TopicArn=ids["Topic"], Message="a ticket", Subject="Ticket")
    client("sns").publish(TopicArn=client("sns").create_topic(Name="no-chat")["TopicArn"], Message="for others")
    (message,) = aws.chats
    assert (message["channel"], message["message"], message["subject"]) == ("C0123456", "a ticket", "Ticket")
    properties["SlackChannelId"] = "C9999999"
    assert made.update(resources) == "UPDATE_COMPLETE"
    (shown,) = client("chatbot").describe_slack_channel_configurations()["SlackChannelConfigurations"]
    assert shown["SlackChannelId"] == "C9999999"
    properties["SlackWorkspaceId"] = "not valid"
    assert made.update(resources) == "UPDATE_ROLLBACK_COMPLETE"
    made.delete()
    assert client("chatbot").describe_slack_channel_configurations()["SlackChannelConfigurations"] == []


def test_delivery_status_is_logged_for_each_failure_and_a_share_of_the_rest(client, stack, receiver, aws):
    role = "arn:aws:iam::000000000000:role/feedback"
    logging = {
        "Protocol": "http/s", "FailureFeedbackRoleArn": role, "SuccessFeedbackRoleArn": role, "SuccessFeedbackSampleRate": "100",
    }  # fmt: skip
    resources: dict[str, Any] = {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "TopicName": "logged",
                "DeliveryStatusLogging": [logging],
                "KmsMasterKeyId": "alias/of-topic",
            },
        },
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "http", "Endpoint": receiver.url},
        },
    }
    made = stack("logged", resources)
    arn = made.ids()["Topic"]
    attributes = client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    assert attributes["HTTPFailureFeedbackRoleArn"] == attributes["HTTPSuccessFeedbackRoleArn"] == role
    assert (attributes["HTTPSuccessFeedbackSampleRate"], attributes["KmsMasterKeyId"]) == ("100", "alias/of-topic")
    eventually(lambda: pending(client, made.ids()["Subscription"]) == "false", "the confirmation")
    client("sns").publish(TopicArn=arn, Message="taken")
    eventually(receiver.messages, "the message")
    receiver.failures = [404]
    client("sns").publish(TopicArn=arn, Message="refused")
    group = f"sns/{aws.region}/000000000000/logged"

    def lines(name: str) -> list[dict[str, Any]]:
        try:
            events = client("logs").filter_log_events(logGroupName=name)["events"]
        except ClientError:
            return []
        return [json.loads(event["message"]) for event in events]

    (failure,) = eventually(lambda: lines(f"{group}/Failure"), "the failure's line")
    (success,) = eventually(lambda: lines(group), "the success's line")
    assert (failure["status"], success["status"]) == ("FAILURE", "SUCCESS")
    assert failure["delivery"]["statusCode"] == 404
    assert failure["delivery"]["attempts"] == 1
    assert success["delivery"]["destination"] == receiver.url
    assert success["notification"]["topicArn"] == arn
    del resources["Topic"]["Properties"]["DeliveryStatusLogging"]
    assert made.update(resources) == "UPDATE_COMPLETE"
    assert not [name for name in client("sns").get_topic_attributes(TopicArn=arn)["Attributes"] if "Feedback" in name]


# The pool.


def test_pool_is_bounded_and_one_endpoint_that_hangs_does_not_hold_up_another():
    deliveries = Deliveries()
    hang, done = threading.Event(), threading.Event()
    running: set[str] = set()
    most = 0
    lock = threading.Lock()

    def hanging() -> None:
        nonlocal most
        name = threading.current_thread().name
        with lock:
            running.add(name)
            most = max(most, len(running))
        hang.wait(20)
        with lock:
            running.discard(name)

    for _ in range(500):
        deliveries.submit("hangs", hanging)
    deliveries.submit("other", done.set)
    assert done.wait(10)
    assert most <= PER_LANE
    assert deliveries.under_way >= 500 - PER_LANE
    hang.set()
    eventually(lambda: deliveries.under_way == 0, "the rest")
    deliveries.stop()
    assert sum(thread.name.startswith("tocsin-delivery-") for thread in threading.enumerate()) <= WORKERS


@given(st.lists(st.lists(st.floats(0, 3), max_size=4), max_size=8))
def test_every_attempt_is_made_as_often_as_it_asks_for(plans):
    deliveries = Deliveries(speed=10000)
    counts = [0] * len(plans)

    def attempt(number: int) -> Callable[[], float | None]:
        left = iter(plans[number])

        def run() -> float | None:
            counts[number] += 1
            return next(left, None)

        return run

    for number in range(len(plans)):
        deliveries.submit(number % 3, attempt(number))
    eventually(lambda: deliveries.under_way == 0, "the attempts")
    deliveries.stop()
    assert counts == [len(plan) + 1 for plan in plans]
