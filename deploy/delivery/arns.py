"""ARNs of an environment's resources, as the policies of its delivery name them."""

from __future__ import annotations

from troposphere import Sub

ANY = ["*"]

# What CloudFormation tags the resources of a stack with (User Guide, "Resource tag").
STACK_TAG = "aws:cloudformation:stack-name"

# What SNS logs of the topics' deliveries, under names of its own, and where notifications go with the keys for it.
DELIVERY_LOGS = "log-group:sns/${AWS::Region}/${AWS::AccountId}/ENV-*"
ON_CALL_SECRETS = "secret:tocsin/ENV/on-call/*"


def own(service: str, *names: str) -> list[Sub]:
    """ARNs in this account and region; ``ENV`` in a name stands for the environment."""
    return [
        Sub(
            f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{name}".replace(
                "ENV", "${Environment}"
            )
        )
        for name in names
    ]


def everywhere(service: str, *names: str) -> list[Sub]:
    """ARNs of services that know no region: IAM with an account, S3 without."""
    account = "" if service == "s3" else "${AWS::AccountId}"
    return [
        Sub(f"arn:${{AWS::Partition}}:{service}::{account}:{name}".replace("ENV", "${Environment}")) for name in names
    ]
