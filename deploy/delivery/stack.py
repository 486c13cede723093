"""What the delivery of an environment needs, as CloudFormation: set up once by an administrator, then left alone.

Whoever runs the delivery pipeline shows a token of GitHub or GitLab and gets the delivery role for two hours.  That role
plans and starts changes of the environment's stacks; what they change, CloudFormation changes as the execution role.
"""

from __future__ import annotations

import json
from typing import Any

from troposphere import (
    And,
    Condition,
    Equals,
    GetAtt,
    If,
    Not,
    NoValue,
    Or,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    ecr,
    iam,
    s3,
)

from deploy.functions import KEPT, Statement, policy, trust

from .arns import ANY, ON_CALL_SECRETS, STACK_TAG, everywhere, own
from .boundary import boundary
from .execution import areas

GITHUB, GITLAB = "token.actions.githubusercontent.com", "gitlab.com"
GITHUB_AUDIENCE, GITLAB_AUDIENCE = "sts.amazonaws.com", "https://gitlab.com"

# The stacks that the delivery may change; its own is not among them.
SESSION_SECONDS = 7200  # as long as a job of the delivery may take
LONGEST_ENVIRONMENT = 10  # characters; see deploy/settings.py

STACKS = (
    "network",
    "notification",
    "data-pipeline",
    "forwarder",
    "routing",
    "notification-alarms",
    "data-pipeline-alarms",
)


def template() -> Template:
    """The whole stack."""
    stack = Template(Description="Delivery: roles for the delivery pipeline, bucket for code, repository for the image")
    stack.set_version()
    _add_parameters(stack)
    bucket = _add_bucket(stack)
    repository = _add_repository(stack)
    limit = stack.add_resource(
        iam.ManagedPolicy(
            "PermissionsBoundary",
            Description="The most that any role of the stacks of this environment can do",
            PolicyDocument=policy(boundary()),
        )
    )
    execution = _add_execution_role(stack)
    role = _add_delivery_role(stack, execution, bucket, repository)
    outputs = {
        "ArtifactsBucketName": (Ref(bucket), "Bucket for code and large templates"),
        "ExecutionRoleArn": (GetAtt(execution, "Arn"), "What CloudFormation acts as"),
        "LoaderRepositoryArn": (GetAtt(repository, "Arn"), "Repository of the loader's image"),
        "LoaderRepositoryUri": (GetAtt(repository, "RepositoryUri"), "Where the loader's image is pushed to"),
        "PermissionsBoundaryArn": (Ref(limit), "Policy that limits every role"),
    }
    for name, (value, description) in outputs.items():
        stack.add_output(Output(name, Value=value, Description=description))
    stack.add_output(
        Output(
            "DeliveryRoleArn",
            Condition="HasPipeline",
            Value=GetAtt(role, "Arn"),
            Description="What the delivery pipeline acts as",
        )
    )
    return stack


def _add_parameters(stack: Template) -> None:
    stack.add_parameter(
        Parameter(
            "Environment",
            Type="String",
            AllowedPattern=f"[a-z][a-z0-9-]{{0,{LONGEST_ENVIRONMENT - 1}}}",
            Description="Name of the environment, with which the names of its stacks begin",
        )
    )
    for tool, repository, example in (
        ("GitHub", "GitHubRepository", "owner/name, or as the token names it owner@id/name@id,"),
        ("GitLab", "GitLabProject", "group/name"),
    ):
        stack.add_parameter(
            Parameter(
                repository,
                Type="String",
                Default="",
                AllowedPattern=r"([\w.@-]+(/[\w.@-]+)+)?",
                Description=f"{example} on {tool} that delivers this environment; empty if none does",
            )
        )
        stack.add_parameter(
            Parameter(
                f"{tool}ProviderArn",
                Type="String",
                Default="",
                Description=f"OpenID provider of {tool} if the account has it; empty to create it",
            )
        )
        stack.add_condition(f"Has{tool}", Not(Equals(Ref(repository), "")))
        stack.add_condition(
            f"Creates{tool}Provider", And(Condition(f"Has{tool}"), Equals(Ref(f"{tool}ProviderArn"), ""))
        )
    stack.add_parameter(
        Parameter(
            "GitLabBranch",
            Type="String",
            Default="main",
            AllowedPattern=r"[\w./-]+",
            Description="Protected branch whose pipelines deliver from GitLab",
        )
    )
    stack.add_parameter(
        Parameter(
            "GitLabClaims",
            Type="String",
            Default="",
            AllowedPattern=r"([a-z_]+:[\w.-]+(:[a-z_]+:[\w.-]+)*)?",
            Description=(
                "What the subject of a token says after the branch, such as environment_protected:true:"
                "deployment_tier:production; empty if the project leaves its subject as it is"
            ),
        )
    )
    stack.add_condition("HasGitLabClaims", Not(Equals(Ref("GitLabClaims"), "")))
    stack.add_parameter(
        Parameter(
            "ValidationUser",
            Type="String",
            Default="synthetic-*",
            AllowedPattern=r".*[^*?].*",
            Description="User whose notification the validation takes away: the subject of its token, if calls bear one",
        )
    )
    stack.add_condition("HasPipeline", Or(Condition("HasGitHub"), Condition("HasGitLab")))


def _add_bucket(stack: Template) -> s3.Bucket:
    bucket = stack.add_resource(
        s3.Bucket(
            "Artifacts",
            UpdateReplacePolicy="Retain",
            DeletionPolicy=KEPT,
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                    )
                ]
            ),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[
                    s3.LifecycleRule(
                        Id="Leftovers",
                        Status="Enabled",
                        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
                        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=90),
                    )
                ]
            ),
            OwnershipControls=s3.OwnershipControls(
                Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
            ),
            PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
            ),
        )
    )
    stack.add_resource(
        s3.BucketPolicy(
            "ArtifactsPolicy",
            Bucket=Ref(bucket),
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "DenyPlainHttp",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [GetAtt(bucket, "Arn"), Sub("${Artifacts.Arn}/*")],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        )
    )
    return bucket


def _add_repository(stack: Template) -> ecr.Repository:
    rules = [
        _lifecycle(
            1, "Left by a failed push", {"tagStatus": "untagged", "countType": "sinceImagePushed"}, 7, days=True
        ),
        _lifecycle(2, "Old releases", {"tagStatus": "any", "countType": "imageCountMoreThan"}, 30),
    ]
    return stack.add_resource(
        ecr.Repository(
            "LoaderRepository",
            UpdateReplacePolicy="Retain",
            DeletionPolicy=KEPT,
            RepositoryName=Sub("${Environment}-loader"),
            ImageTagMutability="IMMUTABLE",
            ImageScanningConfiguration=ecr.ImageScanningConfiguration(ScanOnPush=True),
            EncryptionConfiguration=ecr.EncryptionConfiguration(EncryptionType="KMS"),
            LifecyclePolicy=ecr.LifecyclePolicy(LifecyclePolicyText=json.dumps({"rules": rules}, sort_keys=True)),
        )
    )


def _lifecycle(priority: int, why: str, selection: dict[str, str], count: int, days: bool = False) -> dict[str, Any]:
    unit = {"countUnit": "days"} if days else {}
    return {
        "rulePriority": priority,
        "description": why,
        "selection": {**selection, **unit, "countNumber": count},
        "action": {"type": "expire"},
    }


def _add_execution_role(stack: Template) -> iam.Role:
    policies = [
        stack.add_resource(iam.ManagedPolicy(name, PolicyDocument=policy(statements)))
        for name, statements in areas().items()
    ]
    return stack.add_resource(
        iam.Role(
            "ExecutionRole",
            Description="What CloudFormation acts as when it changes a stack of this environment",
            # A role is passed within its account only, and only the delivery role and administrators may pass this one.
            AssumeRolePolicyDocument=trust("cloudformation.amazonaws.com"),
            ManagedPolicyArns=[Ref(each) for each in policies],
        )
    )


def _stacks() -> list[Sub]:
    return own("cloudformation", *(f"stack/ENV-{name}/*" for name in STACKS))


def _add_delivery_role(stack: Template, execution: iam.Role, bucket: s3.Bucket, repository: ecr.Repository) -> iam.Role:
    github = _provider(stack, "GitHub", GITHUB, GITHUB_AUDIENCE)
    gitlab = _provider(stack, "GitLab", GITLAB, GITLAB_AUDIENCE)
    trusted = [
        If(
            "HasGitHub",
            _web_identity(github, GITHUB, GITHUB_AUDIENCE, Sub("repo:${GitHubRepository}:environment:${Environment}")),
            NoValue,
        ),
        If(
            "HasGitLab",
            _web_identity(
                gitlab,
                GITLAB,
                GITLAB_AUDIENCE,
                If(
                    "HasGitLabClaims",
                    Sub("project_path:${GitLabProject}:ref_type:branch:ref:${GitLabBranch}:${GitLabClaims}"),
                    Sub("project_path:${GitLabProject}:ref_type:branch:ref:${GitLabBranch}"),
                ),
            ),
            NoValue,
        ),
    ]
    policies = {"Deploy": _deploys(execution, bucket, repository), "Validate": _validates()}
    return stack.add_resource(
        iam.Role(
            "DeliveryRole",
            Condition="HasPipeline",
            Description="What the delivery pipeline acts as in this environment",
            AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": trusted},
            MaxSessionDuration=SESSION_SECONDS,
            Policies=[
                iam.Policy(PolicyName=name, PolicyDocument=policy(statements)) for name, statements in policies.items()
            ],
        )
    )


def _provider(stack: Template, tool: str, host: str, audience: str) -> Any:
    created = stack.add_resource(
        iam.OIDCProvider(
            f"{tool}Provider",
            Condition=f"Creates{tool}Provider",
            UpdateReplacePolicy="Retain",
            DeletionPolicy=KEPT,  # an account has one, and others may use it
            Url=f"https://{host}",
            ClientIdList=[audience],
        )
    )
    return If(f"Creates{tool}Provider", Ref(created), Ref(f"{tool}ProviderArn"))


def _web_identity(provider: Any, host: str, audience: str, subject: Sub | If) -> dict[str, Any]:
    """Trust in the tokens for exactly this repository and environment, or project, branch and what else it claims.

    Sources: GitHub, "Configuring OpenID Connect in Amazon Web Services", and of the form of the subject "OpenID Connect
    reference", "Immutable subject claims"; GitLab, "Configure OpenID Connect in AWS" and, of the claims, "OpenID Connect
    (OIDC) authentication using ID tokens".
    """
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{host}:aud": audience, f"{host}:sub": subject}},
    }


def _deploys(execution: iam.Role, bucket: s3.Bucket, repository: ecr.Repository) -> list[Statement]:
    return [
        # Only as the execution role, so that a change can do no more than that role.  What follows needs no such word:
        # a stack keeps the role it was created with.
        Statement(
            ["cloudformation:CreateChangeSet"],
            _stacks(),
            {"ArnEquals": {"cloudformation:RoleArn": GetAtt(execution, "Arn")}},
        ),
        Statement(
            [
                "cloudformation:DeleteChangeSet",
                "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplate",
                "cloudformation:ListStackResources",
            ],
            _stacks(),
        ),
        Statement(["cloudformation:DescribeStacks"], [*_stacks(), *own("cloudformation", "stack/${AWS::StackName}/*")]),
        Statement(
            ["iam:PassRole"],
            [GetAtt(execution, "Arn")],
            {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}},
        ),
        Statement(["s3:GetObject", "s3:PutObject"], [Sub("${Artifacts.Arn}/*")]),
        Statement(["s3:ListBucket"], [GetAtt(bucket, "Arn")]),
        Statement(
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            [GetAtt(repository, "Arn")],
        ),
        # The login is to the registry, and EC2 only describes: neither service knows a resource for it.
        Statement(
            ["ec2:DescribeManagedPrefixLists", "ec2:DescribeSecurityGroupRules", "ecr:GetAuthorizationToken"], ANY
        ),
        # Which version of each address the routing is to use; what it says, only CloudFormation reads.
        Statement(["secretsmanager:DescribeSecret"], own("secretsmanager", ON_CALL_SECRETS)),
        # The group that EC2 made with the network is closed after the network is there; EC2 chose its id and those of its
        # rules.  A group that a stack made carries the stack's name, and is left to that stack.
        Statement(
            ["ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"],
            own("ec2", "security-group/*", "security-group-rule/*"),
            {"Null": {f"aws:ResourceTag/{STACK_TAG}": "true"}},
        ),
    ]


def _validates() -> list[Statement]:
    """What the checks of a deployment do: things of their own travel through the systems, and settings are read."""
    incoming = "ENV-data-pipeline-incoming-${AWS::AccountId}-${AWS::Region}"
    return [
        Statement(
            ["events:PutEvents"],
            own("events", "event-bus/default"),
            {"StringEquals": {"events:source": "tocsin.validation"}},
        ),
        # A definition's key begins with its day, the same for real and synthetic ones; the other tables' say which it is.
        Statement(["dynamodb:DeleteItem", "dynamodb:PutItem"], own("dynamodb", "table/ENV-notification-Definitions-*")),
        Statement(
            ["dynamodb:DeleteItem", "dynamodb:PutItem"],
            own("dynamodb", "table/ENV-notification-Subscriptions-*"),
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["synthetic-*"]}},
        ),
        Statement(
            ["dynamodb:DeleteItem"],
            own("dynamodb", "table/ENV-notification-Notifications-*"),
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [Ref("ValidationUser")]}},
        ),
        Statement(
            ["sts:AssumeRole"],
            everywhere("iam", "role/ENV-notification-UserRole-*"),
            {"StringLike": {"sts:RoleSessionName": "synthetic-*"}},
        ),
        Statement(
            ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], everywhere("s3", f"{incoming}/incoming/synthetic/*")
        ),
        Statement(
            ["s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock", "s3:ListBucket"], everywhere("s3", incoming)
        ),
        Statement(
            ["kms:Decrypt", "kms:GenerateDataKey"],
            own("kms", "key/*"),  # KMS chose the id
            {"StringEquals": {"kms:ViaService": Sub("s3.${AWS::Region}.amazonaws.com")}},
        ),
        Statement(
            ["lambda:InvokeFunction"],
            own("lambda", *(f"function:ENV-data-pipeline-{name}-*" for name in ("Migrator", "Probe"))),
        ),
        Statement(["sqs:GetQueueAttributes"], own("sqs", "ENV-*DeadLetters-*")),
        Statement(
            ["cloudwatch:DescribeAlarmHistory", "cloudwatch:DescribeAlarms"],
            ANY,  # composite alarms are described only to those who may describe all (CloudWatch API, DescribeAlarms)
        ),
        Statement(["sns:ListSubscriptionsByTopic"], own("sns", "ENV-*")),
    ]
