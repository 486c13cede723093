"""What CloudFormation may do with functions and their roles."""

from __future__ import annotations

from troposphere import Ref, Sub

from deploy.functions import Statement

from ..arns import ANY, everywhere, own

# The stacks with roles.  Those of the delivery itself begin with the environment's name, too, and are not among them.
ROLES = (
    "role/ENV-network-*",
    "role/ENV-notification-*",
    "role/ENV-data-pipeline-*",
    "role/ENV-forwarder-*",
    "role/ENV-routing-*",
)


def functions() -> list[Statement]:
    """Functions, what starts them, and their network interfaces."""
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


def roles() -> list[Statement]:
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
