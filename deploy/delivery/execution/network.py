"""What CloudFormation may do with the network and the keys."""

from __future__ import annotations

from troposphere import Sub

from deploy.functions import Statement

from ..arns import ANY, STACK_TAG, everywhere, own


def network() -> list[Statement]:
    """The VPC, its subnets, routes, endpoints, groups and flow logs."""
    made = own("ec2", "flow-log/*", "vpc-flow-log/*", "route-table/*", "security-group/*", "security-group-rule/*")
    made += own("ec2", "subnet/*", "vpc/*", "vpc-endpoint/*")  # EC2 chooses the ids
    return [
        Statement(
            [
                "ec2:AssociateRouteTable",
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:CreateFlowLogs",
                "ec2:CreateRouteTable",
                "ec2:CreateSecurityGroup",
                "ec2:CreateSubnet",
                "ec2:CreateTags",
                "ec2:CreateVpc",
                "ec2:CreateVpcEndpoint",
                "ec2:DeleteFlowLogs",
                "ec2:DeleteRouteTable",
                "ec2:DeleteSecurityGroup",
                "ec2:DeleteSubnet",
                "ec2:DeleteTags",
                "ec2:DeleteVpc",
                "ec2:DeleteVpcEndpoints",
                "ec2:DescribeVpcAttribute",
                "ec2:DisassociateRouteTable",
                "ec2:ModifySubnetAttribute",
                "ec2:ModifyVpcAttribute",
                "ec2:ModifyVpcEndpoint",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            ],
            made,
        ),
        Statement(
            [
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeFlowLogs",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeNetworkAcls",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroupRules",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeTags",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
            ],
            ANY,  # EC2 knows no resource for what only describes; the database's handler asks, too
        ),
        # An endpoint's private names are a hosted zone of AWS, which has no ARN of ours.
        Statement(["route53:AssociateVPCWithHostedZone"], everywhere("route53", "hostedzone/*")),
    ]


def keys() -> list[Statement]:
    """Keys that our stacks made; see the decisions on foreign keys."""
    keys = own("kms", "key/*")  # KMS chooses the ids
    return [
        Statement(["kms:CreateKey", "kms:ListAliases"], ANY),  # a key has no ARN before it is there; a list has none
        Statement(
            [
                "kms:DescribeKey",
                "kms:DisableKeyRotation",
                "kms:EnableKeyRotation",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListResourceTags",
                "kms:PutKeyPolicy",
                "kms:ScheduleKeyDeletion",
                "kms:TagResource",
                "kms:UntagResource",
                "kms:UpdateKeyDescription",
            ],
            keys,
        ),
        # The key of somebody else's stack.  A Deny, because a tag may take minutes to be known (KMS Developer Guide, "ABAC
        # for AWS KMS"): an Allow by tag would refuse our own key, just made, when its creation is rolled back.
        Statement(
            ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"],
            keys,
            {
                "Null": {f"aws:ResourceTag/{STACK_TAG}": "false"},
                "StringNotLike": {f"aws:ResourceTag/{STACK_TAG}": Sub("${Environment}-*")},
            },
            effect="Deny",
        ),
        Statement(["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"], [*keys, *own("kms", "alias/ENV-*")]),
        # The database and its secret are encrypted with our key by whoever creates them.
        Statement(
            ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
            keys,
            {
                "StringEquals": {
                    "kms:ViaService": [
                        Sub(f"{service}.${{AWS::Region}}.amazonaws.com") for service in ("rds", "secretsmanager")
                    ]
                }
            },
        ),
    ]
