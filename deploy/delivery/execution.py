"""What CloudFormation may do in an environment: the actions for the resource types of our templates, by area.

Actions are those of the types' handlers (CloudFormation registry, ``aws cloudformation describe-type``).  Resources are
those whose name begins with the environment's, wherever a service names by what the stack is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from troposphere import Ref, Sub

from deploy.functions import Statement

from .arns import ANY, DELIVERY_LOGS, ON_CALL_SECRETS, STACK_TAG, everywhere, own

# The stacks with roles.  Those of the delivery itself begin with the environment's name, too, and are not among them.
ROLES = (
    "role/ENV-network-*",
    "role/ENV-notification-*",
    "role/ENV-data-pipeline-*",
    "role/ENV-forwarder-*",
    "role/ENV-routing-*",
)


def areas() -> Mapping[str, Sequence[Statement]]:
    """Managed policy -> its statements; a policy holds 6,144 characters, hence several."""
    return {
        "ExecutionNetwork": [*_network(), *_keys()],
        "ExecutionFunctions": [*_functions(), *_roles()],
        "ExecutionData": [*_database(), *_bucket(), *_tables_and_queues(), *_tasks()],
        "ExecutionAlarms": [*_logs(), *_events_and_api(), *_alarms()],
        "ExecutionOnCall": _on_call(),
    }


def _network() -> list[Statement]:
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


def _keys() -> list[Statement]:
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


def _functions() -> list[Statement]:
    functions = own("lambda", "function:ENV-*")
    return [
        Statement(
            [
                "lambda:AddPermission",
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:DeleteFunctionConcurrency",
                "lambda:DeleteFunctionEventInvokeConfig",
                "lambda:GetFunction",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionConfiguration",
                "lambda:GetFunctionEventInvokeConfig",
                "lambda:GetFunctionRecursionConfig",
                "lambda:GetPolicy",
                "lambda:GetRuntimeManagementConfig",
                "lambda:InvokeFunction",  # the database's schema is a resource that a function makes
                "lambda:ListTags",
                "lambda:PutFunctionConcurrency",
                "lambda:PutFunctionEventInvokeConfig",
                "lambda:PutFunctionRecursionConfig",
                "lambda:RemovePermission",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
                "lambda:UpdateFunctionEventInvokeConfig",
            ],
            functions,
        ),
        # A mapping is known by an id that Lambda chooses, so it is the function that limits it.
        Statement(
            ["lambda:CreateEventSourceMapping"],
            ANY,
            {"ArnLike": {"lambda:FunctionArn": functions}},
        ),
        Statement(
            ["lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"],
            own("lambda", "event-source-mapping:*"),
            {"ArnLike": {"lambda:FunctionArn": functions}},
        ),
        Statement(
            ["lambda:GetEventSourceMapping", "lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"],
            own("lambda", "event-source-mapping:*"),
        ),
        Statement(["s3:GetObject", "s3:GetObjectVersion"], [Sub("${Artifacts.Arn}/*")]),
    ]


def _roles() -> list[Statement]:
    """Roles of the environment's stacks, each with our boundary; never those of the delivery itself."""
    roles = everywhere("iam", *ROLES)
    bounded = {"ArnEquals": {"iam:PermissionsBoundary": Ref("PermissionsBoundary")}}
    return [
        Statement(
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            roles,
            bounded,
        ),
        Statement(
            [
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ],
            roles,
        ),
        Statement(
            ["iam:PassRole"],
            roles,
            {
                "StringEquals": {
                    "iam:PassedToService": [
                        "chatbot.amazonaws.com",
                        "ecs-tasks.amazonaws.com",
                        "events.amazonaws.com",
                        "lambda.amazonaws.com",
                        "monitoring.rds.amazonaws.com",
                        "sns.amazonaws.com",
                        "vpc-flow-logs.amazonaws.com",
                    ]
                }
            },
        ),
        Statement(
            ["iam:CreateServiceLinkedRole"],
            everywhere("iam", "role/aws-service-role/*"),  # AWS chooses the names
            {
                "StringEquals": {
                    "iam:AWSServiceName": [
                        "apidestinations.events.amazonaws.com",
                        "ecs.amazonaws.com",
                        "management.chatbot.amazonaws.com",
                        "ops.apigateway.amazonaws.com",
                        "rds.amazonaws.com",
                    ]
                }
            },
        ),
        Statement(
            ["iam:*"],
            [*everywhere("iam", "role/${AWS::StackName}-*", "policy/${AWS::StackName}-*")],
            effect="Deny",
        ),
    ]


def _database() -> list[Statement]:
    return [
        Statement(
            [
                "rds:AddTagsToResource",
                "rds:CreateDBInstance",
                "rds:CreateDBParameterGroup",
                "rds:CreateDBSnapshot",
                "rds:CreateDBSubnetGroup",
                "rds:DeleteDBInstance",
                "rds:DeleteDBParameterGroup",
                "rds:DeleteDBSubnetGroup",
                "rds:DescribeDBInstances",
                "rds:DescribeDBParameterGroups",
                "rds:DescribeDBParameters",
                "rds:DescribeDBSnapshots",
                "rds:DescribeDBSubnetGroups",
                "rds:ListTagsForResource",
                "rds:ModifyDBInstance",
                "rds:ModifyDBParameterGroup",
                "rds:ModifyDBSubnetGroup",
                "rds:RebootDBInstance",
                "rds:RemoveTagsFromResource",
                "rds:ResetDBParameterGroup",
            ],
            own("rds", "db:ENV-*", "pg:ENV-*", "snapshot:ENV-*", "subgrp:ENV-*", "pg:default.*", "og:default:*"),
        ),
        Statement(
            ["rds:DescribeDBEngineVersions", "rds:DescribeEngineDefaultParameters", "rds:DescribeEvents"],
            ANY,  # know no resource
        ),
        # The instance's handler asks for the cluster that an instance may be part of, which ours is not.
        Statement(["rds:DescribeDBClusters"], own("rds", "cluster:*")),
        Statement(
            [
                "secretsmanager:CreateSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:RotateSecret",
                "secretsmanager:TagResource",
            ],
            own("secretsmanager", "secret:rds!db-*"),  # RDS chooses the names
        ),
    ]


def _bucket() -> list[Statement]:
    return [
        Statement(
            [
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:DeleteBucketPolicy",
                "s3:GetBucketLogging",
                "s3:GetBucketNotification",
                "s3:GetBucketOwnershipControls",
                "s3:GetBucketPolicy",
                "s3:GetBucketPublicAccessBlock",
                "s3:GetBucketTagging",
                "s3:GetBucketVersioning",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:PutBucketLogging",
                "s3:PutBucketNotification",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ],
            everywhere("s3", "ENV-data-pipeline-*"),
        )
    ]


def _tables_and_queues() -> list[Statement]:
    return [
        Statement(
            [
                "dynamodb:CreateTable",
                "dynamodb:DeleteTable",
                "dynamodb:DescribeContinuousBackups",
                "dynamodb:DescribeContributorInsights",
                "dynamodb:DescribeKinesisStreamingDestination",
                "dynamodb:DescribeTable",
                "dynamodb:DescribeTimeToLive",
                "dynamodb:GetResourcePolicy",
                "dynamodb:ListTagsOfResource",
                "dynamodb:TagResource",
                "dynamodb:UntagResource",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:UpdateTable",
                "dynamodb:UpdateTimeToLive",
            ],
            own("dynamodb", "table/ENV-*"),
        ),
        Statement(
            [
                "sqs:CreateQueue",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ListQueueTags",
                "sqs:SetQueueAttributes",
                "sqs:TagQueue",
                "sqs:UntagQueue",
            ],
            own("sqs", "ENV-*"),
        ),
    ]


def _tasks() -> list[Statement]:
    return [
        Statement(
            [
                "ecs:CreateCluster",
                "ecs:DeleteCluster",
                "ecs:DescribeClusters",
                "ecs:RegisterTaskDefinition",
                "ecs:TagResource",
                "ecs:UntagResource",
                "ecs:UpdateCluster",
                "ecs:UpdateClusterSettings",
            ],
            own("ecs", "cluster/ENV-*", "task-definition/ENV-*:*"),
        ),
        Statement(["ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition"], ANY),  # ECS knows no resource for it
    ]


def _logs() -> list[Statement]:
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


def _events_and_api() -> list[Statement]:
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


def _alarms() -> list[Statement]:
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


def _on_call() -> list[Statement]:
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
