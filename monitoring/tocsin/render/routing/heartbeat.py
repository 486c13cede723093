"""The dead-man's switch: EventBridge tells the on-call tool regularly that this account is alive, so that silence pages."""

from __future__ import annotations

from datetime import timedelta

from troposphere import AccountId, GetAtt, Sub, Template
from troposphere.events import (
    ApiDestination,
    ApiKeyAuthParameters,
    AuthParameters,
    Connection,
    RetryPolicy,
    Rule,
    Target,
)

from ...paging.declared import OnCall
from ...paging.tool import heartbeat_secret_name
from ...plan import ENVIRONMENT
from .conditions import add_given
from .delivery import add_key_version, secret_value, stated_secret
from .roles import add_role
from .second_way import add_heartbeat_alarm

_VERSION = "HeartbeatKeyVersion"
_NAME = f"${{{ENVIRONMENT}}}-tocsin-heartbeat"


def add_heartbeat(template: Template, oncall: OnCall, runbooks: str) -> dict[str, dict[str, str]]:
    """The rule, where it posts to and with which key, and the alarm of it.  Returns which secret's version the parameter is."""
    if oncall.heartbeat is None:
        return {}
    secret = heartbeat_secret_name(f"${{{ENVIRONMENT}}}")
    add_key_version(template, _VERSION, secret)
    condition = add_given(template, _VERSION)
    connection = template.add_resource(
        Connection(
            "HeartbeatConnection",
            Condition=condition,
            Name=Sub(_NAME),
            Description="The key of the dead-man's switch",
            AuthorizationType="API_KEY",
            AuthParameters=AuthParameters(
                ApiKeyAuthParameters=ApiKeyAuthParameters(
                    ApiKeyName="Authorization", ApiKeyValue=secret_value(secret, "authorization", _VERSION)
                )
            ),
        )
    )
    destination = template.add_resource(
        ApiDestination(
            "HeartbeatDestination",
            Condition=condition,
            Name=Sub(_NAME),
            Description="The dead-man's switch in the on-call tool",
            ConnectionArn=GetAtt(connection, "Arn"),
            InvocationEndpoint=secret_value(secret, "endpoint", _VERSION),
            HttpMethod="POST",
            InvocationRateLimitPerSecond=1,
        )
    )
    role = add_role(
        template,
        "HeartbeatRole",
        "What the dead-man's switch posts with",
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": AccountId},
                "ArnEquals": {
                    "aws:SourceArn": Sub(
                        f"arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:rule/{_NAME}"
                    )
                },
            },
        },
        [{"Effect": "Allow", "Action": "events:InvokeApiDestination", "Resource": GetAtt(destination, "Arn")}],
        condition,
    )
    template.add_resource(
        Rule(
            "HeartbeatRule",
            Condition=condition,
            Name=Sub(_NAME),
            Description="Tells the on-call tool that this account is alive",
            ScheduleExpression=_rate(oncall.heartbeat.every),
            State="ENABLED",
            Targets=[
                Target(
                    Id="OnCallTool",
                    Arn=GetAtt(destination, "Arn"),
                    RoleArn=GetAtt(role, "Arn"),
                    Input="{}",
                    # Late, a sign of life says nothing: the next one is on its way.  For the same reason there is no
                    # dead-letter queue; that none arrives is what pages.
                    RetryPolicy=RetryPolicy(
                        MaximumEventAgeInSeconds=max(60, int(oncall.heartbeat.every.total_seconds())),
                        MaximumRetryAttempts=5,
                    ),
                )
            ],
        )
    )
    add_heartbeat_alarm(template, _NAME, oncall.heartbeat.every, runbooks, condition)
    return {_VERSION: stated_secret(secret)}


def _rate(every: timedelta) -> str:
    """EventBridge knows whole minutes, and one of them has a word of its own."""
    minutes = max(1, round(every.total_seconds() / 60))
    return "rate(1 minute)" if minutes == 1 else f"rate({minutes} minutes)"
