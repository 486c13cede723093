"""The permissions boundary: what no role of an environment can exceed, whatever its own policy says."""

from __future__ import annotations

from troposphere import GetAtt, Sub

from deploy.functions import Statement

from .arns import ANY, DELIVERY_LOGS, ON_CALL_SECRETS, everywhere, own


def boundary() -> list[Statement]:
    """The most that any role of an environment can do: what the functions and the task need, in this environment."""
    return [
        Statement(
            [
                "dynamodb:BatchWriteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ],
            own("dynamodb", "table/ENV-*"),
        ),
        Statement(
            [
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
            ],
            own("sqs", "ENV-*"),
        ),
        Statement(
            ["s3:AbortMultipartUpload", "s3:GetObjectVersion", "s3:PutObject"],
            everywhere("s3", "ENV-data-pipeline-incoming-*/*"),
        ),
        Statement(
            ["kms:Decrypt", "kms:GenerateDataKey"],
            own("kms", "key/*"),  # KMS chooses the ids
            {
                "StringEquals": {
                    "kms:ViaService": [
                        Sub(f"{service}.${{AWS::Region}}.amazonaws.com") for service in ("s3", "secretsmanager")
                    ]
                }
            },
        ),
        Statement(["rds-db:connect"], own("rds-db", "dbuser:*/loader", "dbuser:*/reader")),
        Statement(["secretsmanager:GetSecretValue"], own("secretsmanager", "secret:rds!db-*", ON_CALL_SECRETS)),
        Statement(["ecs:RunTask"], own("ecs", "task-definition/ENV-*:*")),
        Statement(
            ["iam:PassRole"],
            everywhere("iam", "role/ENV-data-pipeline-LoaderTask*"),
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        Statement(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [GetAtt("LoaderRepository", "Arn")],
        ),
        Statement(["execute-api:Invoke"], own("execute-api", "*/live/GET/users/*/notifications")),
        Statement(
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"],
            own(
                "logs",
                *(f"log-group:/{folder}/ENV-*" for folder in ("aws/lambda", "ecs", "vpc")),
                "log-group:RDSOSMetrics:*",
                DELIVERY_LOGS,
            ),
        ),
        Statement(["logs:CreateLogGroup"], own("logs", DELIVERY_LOGS)),
        Statement(["logs:CreateLogGroup", "logs:PutRetentionPolicy"], own("logs", "log-group:RDSOSMetrics*")),
        Statement(["events:InvokeApiDestination"], own("events", "api-destination/ENV-*")),
        Statement(
            [
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:UnassignPrivateIpAddresses",
            ],
            own("ec2", "*/*"),  # as in the functions' roles, where it says why
        ),
        # What is left of a budget: CloudWatch knows no resource for metrics; alarms are only described.
        Statement(["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"], ANY),
        # EC2 and ECR know no resource for these.
        Statement(["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ecr:GetAuthorizationToken"], ANY),
    ]
