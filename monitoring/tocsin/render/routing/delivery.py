"""Subscriptions: the ways that notifications leave a topic, and how long SNS tries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import Condition, If, Or, Parameter, Ref, Sub, Template
from troposphere.sns import SubscriptionResource

from ...paging.declared import OnCall, Way
from ...paging.tool import secret_name
from ...plan import ENVIRONMENT, camel
from .conditions import ON_CALL, add_given
from .redrive import redrive_policy
from .topics import OwnedTopic

PROTOCOL = "EndpointProtocol"
FORWARDER = "ForwarderQueueArn"

# SNS developer guide, "Amazon SNS message delivery retries": at most 100 retries, and all of them together at most
# 3,600 s, a hard limit.  So the hour is used up, and what it does not cure goes to the redrive queue.  A minute between the
# later ones: a tool that is back has the page a minute later.
RETRIES: dict[str, Any] = {
    "numNoDelayRetries": 3,
    "minDelayTarget": 5,
    "numMinDelayRetries": 3,
    "backoffFunction": "exponential",
    "maxDelayTarget": 60,
    "numMaxDelayRetries": 53,
    "numRetries": 65,  # the six that are left are those whose delay grows
}
# A tool that is told too much at once answers 429 (Opsgenie, "Rate Limiting": so many a second and a minute for each domain,
# of which integrations are one).  SNS tries that again as it does a 5xx; every other status is final ("Creating an HTTP/S
# delivery policy").  But it tries three times without delay, so a storm would feed itself: thirty a second on average
# carry a thousand changes of one owner's alarms within a minute, and spread what comes at once.
MOST_A_SECOND = 30
DELIVERY_POLICY = {"healthyRetryPolicy": RETRIES, "throttlePolicy": {"maxReceivesPerSecond": MOST_A_SECOND}}


def longest_retrying(retries: dict[str, Any] = RETRIES) -> int:
    """Seconds from the first attempt to the last, at worst: each delay that grows counted as if it were the longest."""
    growing = (
        retries["numRetries"]
        - retries["numNoDelayRetries"]
        - retries["numMinDelayRetries"]
        - retries["numMaxDelayRetries"]
    )
    return int(
        retries["numMinDelayRetries"] * retries["minDelayTarget"]
        + (growing + retries["numMaxDelayRetries"]) * retries["maxDelayTarget"]
    )


def add_ways(template: Template, topics: Sequence[OwnedTopic], oncall: OnCall | None) -> None:
    """The parameters that all subscriptions share."""
    stands_in = oncall is not None and oncall.tool.url.startswith("http://")
    template.add_parameter(
        Parameter(
            PROTOCOL,
            Type="String",
            Default="http" if stands_in else "https",
            AllowedValues=["https", "http"],
            Description="https; http only for an endpoint on this machine, for which the page never leaves it",
        )
    )
    if any(topic.goes(Way.FORWARDER) for topic in topics):
        template.add_parameter(
            Parameter(
                FORWARDER, Type="String", Default="", Description="Queue of the forwarder; empty until it is there"
            )
        )
        add_given(template, FORWARDER)


def add_subscriptions(template: Template, topic: OwnedTopic) -> dict[str, dict[str, str]]:
    """Who reads the topic.  Returns which secret's version the parameters are."""
    secrets = _add_endpoint(template, topic)
    if topic.goes(Way.FORWARDER):
        template.add_resource(
            SubscriptionResource(
                f"{topic.logical_id}Forwarder",
                Condition=f"Has{FORWARDER}",
                TopicArn=Ref(topic.logical_id),
                Protocol="sqs",
                Endpoint=Ref(FORWARDER),
                RawMessageDelivery=False,
                RedrivePolicy=redrive_policy(),
            )
        )
    if topic.goes(Way.EMAIL) and topic.route is not None:
        template.add_resource(
            SubscriptionResource(
                f"{topic.logical_id}Email",
                Condition=ON_CALL,
                TopicArn=Ref(topic.logical_id),
                Protocol="email",
                Endpoint=topic.route.email,
            )
        )
    return secrets


def _add_endpoint(template: Template, topic: OwnedTopic) -> dict[str, dict[str, str]]:
    """The HTTPS subscription: to an address that is given, else to the tool as soon as there is a key for it.

    One resource for both: when an address moves into a secret, a second subscription of the same address would be the
    first one over again for SNS, and go with it.
    """
    endpoint = camel(topic.owner, topic.severity.value, "endpoint")
    template.add_parameter(
        Parameter(
            endpoint,
            Type="String",
            Default="",
            NoEcho=True,
            Description=(
                f"Address that {topic.owner}'s {topic.severity.value}s are posted to; "
                "it may hold a key, so it is never shown"
            ),
        )
    )
    condition, secrets = add_given(template, endpoint), {}
    address: Ref | If = Ref(endpoint)
    if topic.goes(Way.TOOL):
        version = camel(topic.owner, topic.severity.value, "keyversion").replace("Keyversion", "KeyVersion")
        secret = secret_name(f"${{{ENVIRONMENT}}}", topic.owner, topic.severity)
        add_key_version(template, version, secret)
        secrets = {version: stated_secret(secret)}
        address = If(condition, Ref(endpoint), secret_value(secret, "endpoint", version))
        subscribed = camel(topic.owner, topic.severity.value, "subscribed")
        template.add_condition(subscribed, Or(Condition(condition), Condition(add_given(template, version))))
        condition = subscribed
    template.add_resource(
        SubscriptionResource(
            f"{topic.logical_id}Subscription",
            Condition=condition,
            TopicArn=Ref(topic.logical_id),
            Protocol=Ref(PROTOCOL),
            Endpoint=address,
            DeliveryPolicy=DELIVERY_POLICY,
            RedrivePolicy=redrive_policy(),
        )
    )
    return secrets


def add_key_version(template: Template, parameter: str, secret: str) -> None:
    """The parameter that says which version of a secret is meant: a new key is a new version, which CloudFormation sees."""
    template.add_parameter(
        Parameter(
            parameter,
            Type="String",
            Default="",
            AllowedPattern="[A-Za-z0-9-]*",
            Description=(
                f"Version of the secret {secret.rpartition('/')[2]}, which each deployment looks up; "
                "empty until `tocsin oncall apply` has made it"
            ),
        )
    )


def stated_secret(secret: str) -> dict[str, str]:
    """How the template's metadata names a secret: ``tocsin/{Environment}/…``, without the $ of a function there is not."""
    return {"Secret": secret.replace("${", "{")}


def secret_value(secret: str, field: str, version: str) -> Sub:
    """The dynamic reference to one field of a secret."""
    return Sub(f"{{{{resolve:secretsmanager:{secret}:SecretString:{field}::${{{version}}}}}}}")
