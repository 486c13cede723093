"""One Lambda function as the four things it takes: its code parameter, log group, role and the function itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from troposphere import AWSHelperFn, GetAtt, If, NoValue, Output, Parameter, Ref, Sub, Template, awslambda, iam, logs

RUNTIME = "python3.13"

# The DeletionPolicy of what outlives its stack, but not the rollback of its own creation: with a name of its own making
# it would be in the way of the next try (CloudFormation User Guide, "DeletionPolicy attribute").
KEPT = "RetainExceptOnCreate"

Value = str | AWSHelperFn


@dataclass(frozen=True, slots=True)
class Statement:
    """One permission: these actions on these resources under these conditions, nothing wider.

    ``only_if`` names the condition of the template under which there is the resource at all.
    """

    actions: Sequence[str]
    resources: Sequence[Value]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effect: Literal["Allow", "Deny"] = "Allow"
    only_if: str | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """What one function does and may do.  ``timeout`` in seconds (or a parameter), ``memory`` in MB.

    ``security_groups`` are its own beside that of the endpoints' clients.  ``recursive_loop`` allows a function to cause
    its own next call, which Lambda otherwise stops after sixteen rounds.  Without ``in_network`` it runs outside the private
    network, which has no way to the internet.
    """

    name: str
    description: str
    handler: str
    timeout: int | Ref
    memory: int
    environment: dict[str, Value]
    allow: Sequence[Statement]
    reserved_concurrency: AWSHelperFn | None = None
    security_groups: Sequence[Value] = ()
    recursive_loop: bool = False
    in_network: bool = True


def add_package_parameters(template: Template) -> None:
    """The parameters that all functions of a stack share, wherever they run: code, logs and the boundary of their roles."""
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
    add_boundary_parameter(template)


def add_code_parameters(template: Template) -> None:
    """The parameters that functions in the private network share: `add_package_parameters`, and the network's."""
    add_package_parameters(template)
    template.add_parameter(
        Parameter("VpcId", Type="AWS::EC2::VPC::Id", Description="Network that the functions run in")
    )
    template.add_parameter(
        Parameter(
            "PrivateSubnetIds",
            Type="List<AWS::EC2::Subnet::Id>",
            Description="Subnets that the functions run in, in at least two zones, without a way to the internet",
        )
    )
    template.add_parameter(
        Parameter(
            "EndpointClientsSecurityGroupId",
            Type="AWS::EC2::SecurityGroup::Id",
            Description="Security group of whoever may call AWS through the network's endpoints",
        )
    )


def add_boundary_parameter(template: Template) -> None:
    """The parameter with the boundary that every role of an environment carries."""
    template.add_parameter(
        Parameter(
            "PermissionsBoundaryArn",
            Type="String",
            AllowedPattern=r"arn:[a-z0-9-]+:iam::[0-9]{12}:policy/[\w+=,.@/-]+",
            Description="Managed policy that no role of this stack can exceed",
        )
    )


def add_function(template: Template, function: Function) -> awslambda.Function:
    """Add the function with its log group and a role that allows the statements given and writing its own log.

    The function runs in the private network, unless it says otherwise.  The log group has a name of its own making because the role must name it
    before the function exists.
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
    network = network_access() if function.in_network else []
    own_log = Statement(["logs:CreateLogStream", "logs:PutLogEvents"], [GetAtt(log_group, "Arn")])
    role = template.add_resource(
        iam.Role(
            f"{name}Role",
            AssumeRolePolicyDocument=trust("lambda.amazonaws.com"),
            PermissionsBoundary=Ref("PermissionsBoundaryArn"),
            Policies=[iam.Policy(PolicyName=name, PolicyDocument=policy([*function.allow, own_log, *network]))],
        )
    )
    optional: dict[str, Any] = {}
    if function.reserved_concurrency is not None:
        optional["ReservedConcurrentExecutions"] = function.reserved_concurrency
    if function.recursive_loop:
        optional["RecursiveLoop"] = "Allow"
    if function.in_network:
        optional["VpcConfig"] = awslambda.VPCConfig(
            SubnetIds=Ref("PrivateSubnetIds"),
            SecurityGroupIds=[Ref("EndpointClientsSecurityGroupId"), *function.security_groups],
        )
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


def network_access() -> list[Statement]:
    """What Lambda does with the function's role to give it a network interface, and never from the function's own code.

    Source: AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC": DeleteNetworkInterface
    needs "all resource IDs" of the account, ``*/*``; with ``network-interface/*`` the function may be refused its network.
    """
    ec2 = "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}"
    everything = [Sub(f"{ec2}:*/*")]
    manage = ["ec2:AssignPrivateIpAddresses", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
    describe = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    return [
        Statement(manage, everything),
        Statement(
            ["ec2:CreateNetworkInterface"],
            # Whatever is of this network, and of no other.  IfExists, because whether Lambda's own look at the role before
            # the call knows the network is not written down.
            everything,
            {"ArnEqualsIfExists": {"ec2:Vpc": Sub(f"{ec2}:vpc/${{VpcId}}")}},
        ),
        Statement(describe, ["*"]),  # EC2 knows no resource for what only describes
        # The key is there only when the function's code makes the call: so Lambda may, and the code may not.  A Deny
        # is the safer, the more it covers.
        Statement(
            ["ec2:CreateNetworkInterface", "ec2:DetachNetworkInterface", *manage, *describe],
            ["*"],
            {
                "ArnLike": {
                    "lambda:SourceFunctionArn": Sub(
                        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"
                    )
                }
            },
            effect="Deny",
        ),
    ]


def trust(service: str) -> dict[str, Any]:
    """The trust policy of a role that one AWS service takes on."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }


def policy(statements: Sequence[Statement]) -> dict[str, Any]:
    """An identity policy of the statements."""
    return {"Version": "2012-10-17", "Statement": [_written(statement) for statement in statements]}


def _written(statement: Statement) -> dict[str, Any] | If:
    written: dict[str, Any] = {
        "Effect": statement.effect,
        "Action": sorted(statement.actions),
        "Resource": list(statement.resources),
    }
    if statement.conditions:
        written["Condition"] = {operator: dict(keys) for operator, keys in statement.conditions.items()}
    return written if statement.only_if is None else If(statement.only_if, written, NoValue)
