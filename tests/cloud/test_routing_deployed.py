"""The routing in the embedded AWS: keys come and go as versions of secrets, and what is not delivered is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from embedded_tools import Receiver, eventually
from tests.render.routing_examples import DIRECT, FORWARDED, MAILED, ON_CALL, OWNERS, team

from tocsin.cloud.committed import Committed
from tocsin.cloud.deploy import Work, deploy_routing, plan_routing
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.environments import Environment
from tocsin.cloud.secrets import remove_secret, write_secret
from tocsin.cloud.session import Cloud, connect, error_code
from tocsin.errors import InputError
from tocsin.render.routing import routing_template

# No chat, which a stand-in has not, and the dead-man's switch in a test of its own.
ON_CALL_HERE = replace(
    ON_CALL, heartbeat=None, teams=(team("payments", DIRECT, MAILED), team("search", FORWARDED, DIRECT))
)
TAGS = {"tocsin:project": "shop"}
NUMBERS = count(1)


@dataclass(frozen=True)
class Place:
    """An environment with an on-call file, and its routing as committed."""

    environment: Environment
    committed: Committed
    cloud: Cloud

    def secret(self, which: str, endpoint: str) -> str:
        """Let a secret say where to post; its version."""
        value = json.dumps({"endpoint": endpoint, "authorization": "", "key": "k"})
        return write_secret(self.cloud, self.name(which), value, TAGS)

    def name(self, which: str) -> str:
        return f"tocsin/{self.environment.name}/on-call/{which}"

    def subscribed(self, topic: str) -> dict[str, tuple[str, str]]:
        """Protocol and endpoint of each subscription, by its ARN or its state."""
        found = self.cloud.client("sns").list_subscriptions_by_topic(TopicArn=self.arn(topic))["Subscriptions"]
        return {one["SubscriptionArn"]: (one["Protocol"], one["Endpoint"]) for one in found}

    def endpoints(self, topic: str) -> list[tuple[str, str]]:
        return sorted(self.subscribed(topic).values())

    def arn(self, topic: str) -> str:
        account = self.cloud.account()
        return f"arn:aws:sns:{self.cloud.region}:{account}:{self.environment.name}-tocsin-{topic}"


@pytest.fixture
def place(aws: EmbeddedAws, tmp_path: Path) -> Iterator[Place]:
    """Another environment for each test, in the embedded AWS."""
    name = f"place-{next(NUMBERS)}"
    path = tmp_path / "routing.yaml"
    path.write_text(routing_template(OWNERS, ON_CALL_HERE))
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in aws.boto3_environment().items():
            patch.setenv(variable, value)
        environment = Environment(
            name,
            "deploy/environments.toml",
            region=aws.region,
            routing_stack=f"{name}-routing",
            oncall_url="http://127.0.0.1:1",
        )
        yield Place(environment, Committed(tmp_path, path), connect(aws.region))


def test_a_key_makes_the_subscription_and_nothing_more_does(place: Place, receiver: Receiver) -> None:
    first = deploy_routing(place.environment, place.committed)
    assert first.work is Work.CREATE
    assert place.endpoints("payments-page") == []
    version = place.secret("payments-page", receiver.url)
    planned = plan_routing(place.environment, place.committed)
    assert planned.work is Work.UPDATE
    assert [(one.name, one.after) for one in planned.parameters] == [("PaymentsPageKeyVersion", version)]
    assert place.endpoints("payments-page") == []  # a plan changes nothing
    deploy_routing(place.environment, place.committed)
    assert place.endpoints("payments-page") == [("http", receiver.url)]
    eventually(lambda: any(":" in arn for arn in place.subscribed("payments-page")), "the confirmation")
    assert deploy_routing(place.environment, place.committed).work is Work.NOTHING


def test_a_new_key_moves_the_subscription_and_a_removed_one_ends_it(place: Place, receiver: Receiver) -> None:
    place.secret("payments-page", f"{receiver.url}first")
    deploy_routing(place.environment, place.committed)
    assert place.endpoints("payments-page") == [("http", f"{receiver.url}first")]
    place.secret("payments-page", f"{receiver.url}second")
    assert deploy_routing(place.environment, place.committed).work is Work.UPDATE
    assert place.endpoints("payments-page") == [("http", f"{receiver.url}second")]
    remove_secret(place.cloud, place.name("payments-page"))
    deploy_routing(place.environment, place.committed)
    assert place.endpoints("payments-page") == []


def test_the_key_replaces_an_address_that_was_given_once(place: Place, receiver: Receiver) -> None:
    given = {"PaymentsPageEndpoint": f"{receiver.url}given"}
    deploy_routing(place.environment, place.committed, parameters=given)
    assert place.endpoints("payments-page") == [("http", f"{receiver.url}given")]
    deploy_routing(place.environment, place.committed)
    assert place.endpoints("payments-page") == [("http", f"{receiver.url}given")]  # as it was: there is no key
    place.secret("payments-page", f"{receiver.url}secret")
    deploy_routing(place.environment, place.committed)
    assert place.endpoints("payments-page") == [("http", f"{receiver.url}secret")]
    # One that is configured still goes first.
    configured = replace(place.environment, routing_parameters=given)
    deploy_routing(configured, place.committed)
    assert place.endpoints("payments-page") == [("http", f"{receiver.url}given")]


def test_what_the_tool_refuses_lies_in_the_redrive_queue(place: Place, receiver: Receiver) -> None:
    place.secret("payments-page", receiver.url)
    outputs = deploy_routing(place.environment, place.committed).outputs
    eventually(lambda: any(":" in arn for arn in place.subscribed("payments-page")), "the confirmation")
    receiver.failures.append(404)
    place.cloud.client("sns").publish(TopicArn=place.arn("payments-page"), Message="refused")

    def kept() -> list[dict[str, Any]]:
        answer = place.cloud.client("sqs").receive_message(
            QueueUrl=outputs["RedriveQueueUrl"], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return list(answer.get("Messages", []))

    (message,) = eventually(kept, "the message in the redrive queue")
    assert json.loads(message["Body"])["Message"] == "refused"


def test_nobody_publishes_or_reads_the_queue_without_tls(place: Place, aws: EmbeddedAws) -> None:
    outputs = deploy_routing(place.environment, place.committed).outputs
    plain = connect(aws.region, endpoint_url=aws.endpoint)
    for call in (
        lambda: plain.client("sns").publish(TopicArn=place.arn("payments-page"), Message="x"),
        lambda: plain.client("sqs").receive_message(QueueUrl=outputs["RedriveQueueUrl"]),
    ):
        with pytest.raises(Exception, match=r"(?i)not authorized|denied") as refusal:
            call()
        assert error_code(refusal.value)


def test_the_dead_mans_switch_comes_and_goes_with_its_secret(place: Place, tmp_path: Path) -> None:
    """Its types are the embedded AWS's own; what it posts is tested there."""
    place.committed.routing.write_text(routing_template(OWNERS, replace(ON_CALL_HERE, heartbeat=ON_CALL.heartbeat)))
    name = f"{place.environment.name}-tocsin-heartbeat"
    events = place.cloud.client("events")
    deploy_routing(place.environment, place.committed)
    assert events.list_rules(NamePrefix=name)["Rules"] == []
    value = {"endpoint": "https://127.0.0.1:1/ping", "authorization": "GenieKey not-for-anybody", "key": "x"}
    write_secret(place.cloud, place.name("heartbeat"), json.dumps(value), TAGS)
    deploy_routing(place.environment, place.committed)
    ((rule,), (target,)) = (
        events.list_rules(NamePrefix=name)["Rules"],
        events.list_targets_by_rule(Rule=name)["Targets"],
    )
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    destination = events.describe_api_destination(Name=name)
    assert target["Arn"] == destination["ApiDestinationArn"]
    assert destination["InvocationEndpoint"] == "https://127.0.0.1:1/ping"
    assert "not-for-anybody" not in str(events.describe_connection(Name=name))
    remove_secret(place.cloud, place.name("heartbeat"))
    deploy_routing(place.environment, place.committed)
    assert events.list_rules(NamePrefix=name)["Rules"] == []


def test_the_alarms_of_the_way_go_the_second_way(place: Place) -> None:
    outputs = deploy_routing(place.environment, place.committed).outputs
    prefix = f"{place.environment.name}-tocsin-on-call-"
    alarms = place.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
    assert len(alarms) == 3 * 4 + 2
    assert {action for alarm in alarms for action in alarm["AlarmActions"]} == {outputs["SecondWayTopicArn"]}
    (over_all,) = place.cloud.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=prefix, AlarmTypes=["CompositeAlarm"]
    )["CompositeAlarms"]
    assert over_all["AlarmName"] == f"{prefix}delivery"
    assert over_all["AlarmActions"] == over_all["OKActions"] == [outputs["SecondWayTopicArn"]]
    assert place.endpoints("on-call-second-way") == [("email", "on-call-fallback@example.com")]


def test_a_telephone_is_the_second_way(place: Place) -> None:
    place.committed.routing.write_text(routing_template(OWNERS, replace(ON_CALL_HERE, second_way="+447700900123")))
    deploy_routing(place.environment, place.committed)
    assert place.endpoints("on-call-second-way") == [("sms", "+447700900123")]


def test_one_alarm_is_up_while_a_notification_lies_in_the_redrive_queue(place: Place, aws: EmbeddedAws) -> None:
    outputs = deploy_routing(place.environment, place.committed).outputs
    sqs, queue = place.cloud.client("sqs"), outputs["RedriveQueueUrl"]

    def state() -> str:
        aws.next_minute()
        found = place.cloud.client("cloudwatch").describe_alarms(
            AlarmNames=[f"{place.environment.name}-tocsin-on-call-delivery"], AlarmTypes=["CompositeAlarm"]
        )
        return str(found["CompositeAlarms"][0]["StateValue"])

    sqs.send_message(QueueUrl=queue, MessageBody="given up")
    eventually(lambda: state() == "ALARM", "the alarm")
    sqs.purge_queue(QueueUrl=queue)
    eventually(lambda: state() == "OK", "its end")


def test_a_protected_environment_must_be_confirmed(place: Place) -> None:
    with pytest.raises(InputError, match="is protected: look at the plan"):
        deploy_routing(replace(place.environment, protected=True), place.committed)


def test_a_parameter_that_there_is_not_is_refused(place: Place) -> None:
    with pytest.raises(InputError, match=r"routing\.yaml has no parameter 'PaymentPageEndpoint'; did you mean"):
        deploy_routing(place.environment, place.committed, parameters={"PaymentPageEndpoint": "x"})
