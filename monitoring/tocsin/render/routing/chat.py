"""Chat: channels of Slack that topics are told in, by Amazon Q Developer in chat applications (once AWS Chatbot)."""

from __future__ import annotations

from collections.abc import Sequence

from troposphere import AccountId, GetAtt, Ref, Sub, Template
from troposphere.chatbot import SlackChannelConfiguration

from ...paging.declared import Way
from ...plan import ENVIRONMENT, camel
from .conditions import IN_CHAT
from .roles import add_role
from .topics import OwnedTopic


def add_chat(template: Template, topics: Sequence[OwnedTopic]) -> None:
    """One configuration for each channel, which AWS knows once only, with all of its topics."""
    channels: dict[tuple[str, str], list[OwnedTopic]] = {}
    for topic in topics:
        if topic.goes(Way.CHAT) and topic.route is not None:
            channels.setdefault((topic.route.chat_workspace, topic.route.chat_channel), []).append(topic)
    if not channels:
        return
    role = add_role(
        template,
        "ChatRole",
        "What members of a chat channel can do in this account: nothing; notifications need no permission",
        {
            "Effect": "Allow",
            "Principal": {"Service": "chatbot.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": AccountId}},
        },
        [],
        IN_CHAT,
    )
    for (workspace, channel), told in sorted(channels.items()):
        template.add_resource(
            SlackChannelConfiguration(
                camel("chat", workspace, channel),
                Condition=IN_CHAT,
                ConfigurationName=Sub(f"${{{ENVIRONMENT}}}-tocsin-{channel}"),
                SlackWorkspaceId=workspace,
                SlackChannelId=channel,
                IamRoleArn=GetAtt(role, "Arn"),
                # Without one the guardrail is AdministratorAccess, whatever role a member may choose.
                GuardrailPolicies=[Sub("arn:${AWS::Partition}:iam::aws:policy/AWSDenyAll")],
                LoggingLevel="ERROR",
                SnsTopicArns=[Ref(topic.logical_id) for topic in told],
                UserRoleRequired=False,
            )
        )
