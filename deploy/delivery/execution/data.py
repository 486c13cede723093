"""What CloudFormation may do where data lies: database, bucket, tables and queues, and the container tasks."""

from __future__ import annotations

from deploy.functions import Statement

from ..arns import ANY, everywhere, own


def database() -> list[Statement]:
    """The PostgreSQL instance, and the secret that RDS makes for it."""
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


def bucket() -> list[Statement]:
    """The bucket that files arrive in."""
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


def tables_and_queues() -> list[Statement]:
    """DynamoDB tables and SQS queues."""
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


def tasks() -> list[Statement]:
    """The cluster and the task definitions."""
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
