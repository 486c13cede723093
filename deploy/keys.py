"""Key policies: who administers a KMS key, and who uses it through which service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import Ref, Sub

# What an administrator of the account needs to look after a key.  Neither using it nor giving it away is among it.
ADMINISTER = (
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
)

# What a service that encrypts data does with a key.
USE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)

# In the policy of a key, "*" is that key (AWS KMS Developer Guide, "Elements of a key policy").
THIS_KEY = "*"


def key_policy(*use: Any) -> dict[str, Any]:
    """The policy of a key that this account's IAM lets people administer, and that is used as the statements say."""
    administer = {
        "Sid": "Administer",
        "Effect": "Allow",
        "Principal": {"AWS": this_account()},
        "Action": list(ADMINISTER),
        "Resource": THIS_KEY,
    }
    return {"Version": "2012-10-17", "Statement": [administer, *use]}


def use_through(services: Sequence[str]) -> list[dict[str, Any]]:
    """Whoever IAM allows it in this account may use the key, but only through the ``services``, such as ``s3``."""
    names = [Sub(f"{service}.${{AWS::Region}}.amazonaws.com") for service in services]
    through = {"kms:CallerAccount": Ref("AWS::AccountId"), "kms:ViaService": names}
    return [
        {
            "Sid": "Use",
            "Effect": "Allow",
            "Principal": {"AWS": this_account()},
            "Action": list(USE),
            "Resource": THIS_KEY,
            "Condition": {"StringEquals": through},
        },
        {
            "Sid": "LetServicesKeepUsing",
            "Effect": "Allow",
            "Principal": {"AWS": this_account()},
            "Action": ["kms:CreateGrant"],
            "Resource": THIS_KEY,
            "Condition": {"StringEquals": through, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]


def this_account() -> Sub:
    """The account itself: its IAM policies decide who of its people and roles."""
    return Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
