"""The topics themselves: one for each owner and severity, encrypted, and open to alarms of this account only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troposphere import AccountId, GetAtt, Output, Ref, Sub, Template
from troposphere.iam import Role
from troposphere.kms import Alias, Key
from troposphere.sns import LoggingConfig, Topic, TopicPolicy

from ...model import Severity
from ...paging.declared import Route, Way
from ...plan import ENVIRONMENT, camel
from .delivery_log import add_log_groups

# Whose publishing a policy allows: CloudWatch for an alarm of this account and region.  The keys are documented for topic
# policies (SNS developer guide, "Example cases for Amazon SNS access control") and for key policies of encrypted topics
# ("Managing Amazon SNS encryption keys", compatibility with event sources).
_ALARMS = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*"


@dataclass(frozen=True, slots=True)
class OwnedTopic:
    """The topic of one owner and severity.  ``route`` is None without an on-call file."""

    owner: str
    severity: Severity
    route: Route | None

    @property
    def logical_id(self) -> str:
        """Such as ``PaymentsPageTopic``."""
        return camel(self.owner, self.severity.value, "topic")

    @property
    def name(self) -> Sub:
        """Its physical name."""
        return Sub(f"${{{ENVIRONMENT}}}-tocsin-{self.owner}-{self.severity.value}")

    def goes(self, way: Way) -> bool:
        """Whether the on-call file sends it this way."""
        return self.route is not None and way in self.route.ways


def only_alarms() -> Mapping[str, Any]:
    """The condition under which CloudWatch speaks for an alarm of this account."""
    return {"StringEquals": {"aws:SourceAccount": AccountId}, "ArnLike": {"aws:SourceArn": Sub(_ALARMS)}}


def add_key(template: Template) -> None:
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
                        "Condition": only_alarms(),
                    },
                ],
            },
        )
    )
    template.add_resource(
        Alias("TopicKeyAlias", AliasName=Sub(f"alias/${{{ENVIRONMENT}}}-tocsin"), TargetKeyId=Ref("TopicKey"))
    )


def add_topic(template: Template, topic: OwnedTopic, log_role: Role) -> None:
    """The topic, its policy, the logs of its deliveries, and its ARN as an output."""
    groups = add_log_groups(template, topic.logical_id, topic.name.data["Fn::Sub"])
    made = template.add_resource(
        Topic(
            topic.logical_id,
            DependsOn=groups,  # a group that SNS makes itself keeps everything for ever, and unmasked
            TopicName=topic.name,
            DisplayName=f"{topic.owner} {topic.severity.value}",
            KmsMasterKeyId=GetAtt("TopicKey", "Arn"),
            DeliveryStatusLogging=[
                LoggingConfig(
                    Protocol=protocol,
                    SuccessFeedbackRoleArn=GetAtt(log_role, "Arn"),
                    # All of them: pages are few, and "did it leave, when, how long did the tool take" is asked of a
                    # single one.
                    SuccessFeedbackSampleRate="100",
                    FailureFeedbackRoleArn=GetAtt(log_role, "Arn"),
                )
                for protocol in ("http/s", *(("sqs",) if topic.goes(Way.FORWARDER) else ()))
            ],
        )
    )
    add_topic_policy(template, made)
    template.add_output(
        Output(
            f"{topic.logical_id}Arn",
            Value=Ref(made),
            Description=f"Where {topic.owner}'s {topic.severity.value}s are published",
        )
    )


def add_topic_policy(template: Template, topic: Topic) -> None:
    """Only alarms of this account publish, and only over TLS."""
    template.add_resource(
        TopicPolicy(
            f"{topic.title}Policy",
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
                        "Condition": only_alarms(),
                    },
                    {
                        "Sid": "NobodyPublishesWithoutTls",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sns:Publish",
                        "Resource": Ref(topic),
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
            },
        )
    )
