"""What becomes of each delivery, in CloudWatch Logs: groups made beforehand, kept for a while, keys in addresses masked."""

from __future__ import annotations

from troposphere import Parameter, Ref, Sub, Template
from troposphere.iam import Role
from troposphere.logs import LogGroup

from ...plan import ENVIRONMENT
from .roles import add_role

# A line tells the endpoint, and the addresses of Opsgenie, Jira and PagerDuty hold the integration's key.  No brackets: a
# custom data identifier takes none (CloudWatch Logs User Guide, "Custom data identifiers").
_KEY = "apiKey=[A-Za-z0-9_-]+|integration/[A-Za-z0-9_-]+"
_MASK = {
    "Name": "integration-keys",
    "Version": "2021-06-01",
    "Configuration": {"CustomDataIdentifier": [{"Name": "IntegrationKey", "Regex": _KEY}]},
    "Statement": [
        {"DataIdentifier": ["IntegrationKey"], "Operation": {"Audit": {"FindingsDestination": {}}}},
        {"DataIdentifier": ["IntegrationKey"], "Operation": {"Deidentify": {"MaskConfig": {}}}},
    ],
}


def add_delivery_log(template: Template) -> Role:
    """The role that SNS logs deliveries with, and the parameter for how long that is kept."""
    template.add_parameter(
        Parameter(
            "LogRetentionDays",
            Type="Number",
            Default=90,
            AllowedValues=[7, 14, 30, 60, 90, 180, 365],
            Description="How long it can be looked up what became of a notification",
        )
    )
    return add_role(
        template,
        "DeliveryLogRole",
        "What SNS writes the fate of each delivery with",
        # No aws:SourceAccount: SNS does not document that it sends one here ("Prerequisites for delivery status logging"),
        # and where it did not, the log would be empty without a word.  Who passes the role to SNS needs iam:PassRole, and
        # all it can do is add to this environment's own groups.
        {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sts:AssumeRole"},
        [
            {
                "Effect": "Allow",
                # SNS asks for all three (developer guide, "Prerequisites for configuring delivery status logging").
                "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": Sub(
                    "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"
                    f"sns/${{AWS::Region}}/${{AWS::AccountId}}/${{{ENVIRONMENT}}}-tocsin-*"
                ),
            }
        ],
    )


def add_log_groups(template: Template, topic: str, name: str) -> list[str]:
    """The groups that SNS writes successes and failures to, under the names it chooses; their logical ids."""
    groups = []
    for suffix, part in (("Log", ""), ("FailureLog", "/Failure")):
        groups.append(f"{topic}{suffix}")
        template.add_resource(
            LogGroup(
                groups[-1],
                # Kept, it would be in the way of the next routing: SNS gives the name.
                DeletionPolicy="Delete",
                UpdateReplacePolicy="Delete",
                LogGroupName=Sub(f"sns/${{AWS::Region}}/${{AWS::AccountId}}/{name}{part}"),
                RetentionInDays=Ref("LogRetentionDays"),
                DataProtectionPolicy=_MASK,
            )
        )
    return groups
