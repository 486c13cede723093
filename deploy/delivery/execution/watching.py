"""What CloudFormation may do with logs, events, the API, alarms and the way of a page."""

from __future__ import annotations

from troposphere import Sub

from deploy.functions import Statement

from ..arns import ANY, DELIVERY_LOGS, ON_CALL_SECRETS, everywhere, own


def logs() -> list[Statement]:
    """Log groups and what reads them."""
    names = [f"log-group:/{folder}/ENV-*" for folder in ("aws/lambda", "aws/apigateway", "ecs", "vpc")]
    names.append(DELIVERY_LOGS)
    return [
        Statement(
            [
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:DisassociateKmsKey",
                "logs:GetDataProtectionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            own("logs", *names),
        ),
        # CloudWatch Logs knows no resource for what lists, nor for the deliveries of flow logs and access logs.
        Statement(
            [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeIndexPolicies",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            ANY,
        ),
    ]


def events_and_api() -> list[Statement]:
    """Rules, schedules and the HTTP API."""
    apis = [
        Sub(f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}::/{path}") for path in ("apis", "apis/*", "tags/*")
    ]
    return [
        Statement(
            [
                "events:DeleteRule",
                "events:DescribeRule",
                "events:DisableRule",
                "events:EnableRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ],
            own("events", "rule/ENV-*"),
        ),
        # API Gateway chooses the ids, and names its actions after HTTP.
        Statement(
            [
                "apigateway:DELETE",
                "apigateway:GET",
                "apigateway:PATCH",
                "apigateway:POST",
                "apigateway:PUT",
            ],
            apis,
        ),
    ]


def alarms() -> list[Statement]:
    """Alarms and the topics that they tell."""
    return [
        Statement(
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutCompositeAlarm",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            own("cloudwatch", "alarm:ENV-*"),
        ),
        # Composite alarms are described only to those who may describe all (CloudWatch API, DescribeAlarms).
        Statement(["cloudwatch:DescribeAlarms"], ANY),
        Statement(
            [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetDataProtectionPolicy",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
                "sns:TagResource",
                "sns:UntagResource",
            ],
            own("sns", "ENV-*"),
        ),
        # SNS knows no resource for a subscription that is there already.
        Statement(["sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"], ANY),
    ]


def on_call() -> list[Statement]:
    """The way of a page: the dead-man's switch, chat, masked logs, and the addresses that lie in secrets."""
    return [
        Statement(
            [
                "events:CreateApiDestination",
                "events:CreateConnection",
                "events:DeleteApiDestination",
                "events:DeleteConnection",
                "events:DescribeApiDestination",
                "events:DescribeConnection",
                "events:UpdateApiDestination",
                "events:UpdateConnection",
            ],
            own("events", "api-destination/ENV-*", "connection/ENV-*"),
        ),
        # EventBridge keeps the key of a connection in a secret of its own, in the name of whoever makes the connection.
        Statement(
            [
                "secretsmanager:CreateSecret",
                "secretsmanager:DeleteSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecret",
            ],
            own("secretsmanager", "secret:events!connection/ENV-*"),
        ),
        # What the dynamic references of the routing resolve to.
        Statement(
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], own("secretsmanager", ON_CALL_SECRETS)
        ),
        Statement(["logs:DeleteDataProtectionPolicy", "logs:PutDataProtectionPolicy"], own("logs", DELIVERY_LOGS)),
        Statement(
            ["chatbot:DeleteSlackChannelConfiguration", "chatbot:UpdateSlackChannelConfiguration"],
            everywhere("chatbot", "chat-configuration/slack-channel/ENV-*"),
        ),
        # A configuration has no ARN before it is there, and those of an account are only listed together.
        Statement(["chatbot:CreateSlackChannelConfiguration", "chatbot:DescribeSlackChannelConfigurations"], ANY),
    ]
