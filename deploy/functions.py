"""One Lambda function as the four things it takes: its code parameter, log group, role and the function itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from troposphere import AWSHelperFn, GetAtt, Output, Parameter, Ref, Sub, Template, awslambda, iam, logs

RUNTIME = "python3.13"

Value = str | AWSHelperFn


@dataclass(frozen=True, slots=True)
class Statement:
    """One permission: these actions on these resources, nothing wider."""

    actions: Sequence[str]
    resources: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Function:
    """What one function does and may do.  ``timeout`` in seconds (or a parameter), ``memory`` in MB."""

    name: str
    description: str
    handler: str
    timeout: int | Ref
    memory: int
    environment: dict[str, Value]
    allow: Sequence[Statement]
    reserved_concurrency: Ref | None = None


def add_code_parameters(template: Template) -> None:
    """The parameters that all functions of a stack share."""
    template.add_parameter(
        Parameter("CodeBucket", Type="String", Description="Bucket that holds the function packages")
    )
    template.add_parameter(
        Parameter(
            "LogRetentionDays",
            Type="Number",
            Default=14,
            AllowedValues=[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400],
            Description="Days to keep the functions' logs",
        )
    )


def add_function(template: Template, function: Function) -> awslambda.Function:
    """Add the function with its log group and a role that allows the statements given and writing its own log.

    The log group has a name of its own making because the role must name it before the function exists.
    """
    name = function.name
    code_key = template.add_parameter(
        Parameter(f"{name}CodeKey", Type="String", Description=f"Key of the package of {name} in the code bucket")
    )
    log_group = template.add_resource(
        logs.LogGroup(
            f"{name}Logs",
            UpdateReplacePolicy="Delete",
            DeletionPolicy="Delete",
            LogGroupName=Sub(f"/aws/lambda/${{AWS::StackName}}-{name}"),
            RetentionInDays=Ref("LogRetentionDays"),
        )
    )
    own_log = Statement(["logs:CreateLogStream", "logs:PutLogEvents"], [GetAtt(log_group, "Arn")])
    role = template.add_resource(
        iam.Role(
            f"{name}Role",
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            Policies=[iam.Policy(PolicyName=name, PolicyDocument=policy([*function.allow, own_log]))],
        )
    )
    optional: dict[str, Any] = {}
    if function.reserved_concurrency is not None:
        optional["ReservedConcurrentExecutions"] = function.reserved_concurrency
    resource = template.add_resource(
        awslambda.Function(
            name,
            Description=function.description,
            Architectures=["arm64"],
            Runtime=RUNTIME,
            Handler=function.handler,
            Code=awslambda.Code(S3Bucket=Ref("CodeBucket"), S3Key=Ref(code_key)),
            Role=GetAtt(role, "Arn"),
            Timeout=function.timeout,
            MemorySize=function.memory,
            Environment=awslambda.Environment(Variables=function.environment),
            LoggingConfig=awslambda.LoggingConfig(LogGroup=Ref(log_group)),  # format: Text, the default
            **optional,
        )
    )
    template.add_output(Output(f"{name}Name", Value=Ref(resource), Description=f"Name of the function {name}"))
    return resource


def policy(statements: Sequence[Statement]) -> dict[str, Any]:
    """An identity policy that allows the statements."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": sorted(s.actions), "Resource": list(s.resources)} for s in statements
        ],
    }
