"""Owners → the routing template: an encrypted SNS topic for each owner and severity, and the way to the on-call tool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from troposphere import AccountId, Equals, GetAtt, Not, Output, Parameter, Ref, Sub, Template
from troposphere.kms import Alias, Key
from troposphere.sns import SubscriptionResource, Topic, TopicPolicy

from ..model import Severity
from ..plan import ENVIRONMENT, camel
from .alarms import HEADING
from .template_text import to_yaml


def routing_template(owners: Iterable[str]) -> str:
    """The CloudFormation text of all topics; outputs are named ``<Owner>PageTopicArn`` and ``<Owner>TicketTopicArn``."""
    return to_yaml(_tree(sorted(set(owners))), HEADING)


def _tree(owners: list[str]) -> dict[str, Any]:
    template = Template(Description="Topics that pages and tickets are sent to, and who reads them.")
    template.set_version()
    template.set_metadata({"Tocsin": {"Owners": owners}})
    template.add_parameter(
        Parameter(
            ENVIRONMENT,
            Type="String",
            Default="prod",
            AllowedPattern="[a-z][a-z0-9-]{0,31}",
            Description="First part of every topic name",
        )
    )
    template.add_parameter(
        Parameter(
            "EndpointProtocol",
            Type="String",
            Default="https",
            AllowedValues=["https", "http"],
            Description="https; http only for an endpoint on this machine, for which the page never leaves it",
        )
    )
    _add_key(template)
    for owner in owners:
        for severity in Severity:
            _add_topic(template, owner, severity)
    tree: dict[str, Any] = template.to_dict()
    return tree


def _add_key(template: Template) -> None:
    """CloudWatch can publish to an encrypted topic only under a key whose policy lets it; the AWS-managed key does not."""
    template.add_resource(
        Key(
            "TopicKey",
            Description="Encrypts alarm notifications at rest",
            EnableKeyRotation=True,
            KeyPolicy={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "AccountAdministersTheKey",
                        "Effect": "Allow",
                        "Principal": {"AWS": Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
                        "Action": "kms:*",
                        "Resource": "*",
                    },
                    {
                        "Sid": "AlarmsOfThisAccountPublish",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                        "Resource": "*",
                        "Condition": {"StringEquals": {"aws:SourceAccount": AccountId}},
                    },
                ],
            },
        )
    )
    template.add_resource(
        Alias("TopicKeyAlias", AliasName=Sub(f"alias/${{{ENVIRONMENT}}}-tocsin"), TargetKeyId=Ref("TopicKey"))
    )


def _add_topic(template: Template, owner: str, severity: Severity) -> None:
    topic = camel(owner, severity.value, "topic")
    endpoint = camel(owner, severity.value, "endpoint")
    has_endpoint = f"Has{endpoint}"
    template.add_parameter(
        Parameter(
            endpoint,
            Type="String",
            Default="",
            NoEcho=True,
            Description=f"Address that {owner}'s {severity.value}s are posted to; it may hold a key, so it is never shown",
        )
    )
    template.add_condition(has_endpoint, Not(Equals(Ref(endpoint), "")))
    template.add_resource(
        Topic(
            topic,
            TopicName=Sub(f"${{{ENVIRONMENT}}}-tocsin-{owner}-{severity.value}"),
            DisplayName=f"{owner} {severity.value}",
            KmsMasterKeyId=GetAtt("TopicKey", "Arn"),
        )
    )
    template.add_resource(
        TopicPolicy(
            f"{topic}Policy",
            Topics=[Ref(topic)],
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "AlarmsOfThisAccountPublish",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": Ref(topic),
                        "Condition": {
                            "StringEquals": {"aws:SourceAccount": AccountId},
                            "ArnLike": {
                                "aws:SourceArn": Sub(
                                    "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*"
                                )
                            },
                        },
                    },
                ],
            },
        )
    )
    template.add_resource(
        SubscriptionResource(
            f"{topic}Subscription",
            Condition=has_endpoint,
            TopicArn=Ref(topic),
            Protocol=Ref("EndpointProtocol"),
            Endpoint=Ref(endpoint),
        )
    )
    template.add_output(
        Output(f"{topic}Arn", Value=Ref(topic), Description=f"Where {owner}'s {severity.value}s are published")
    )
