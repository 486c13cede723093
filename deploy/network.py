"""The private network of an environment as CloudFormation: no way to the internet, endpoints for the few services called.

Whoever runs in it calls AWS through endpoints, whose policies let through what our own roles do with our own resources,
and what a container and a custom resource take from AWS's own buckets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from troposphere import (
    AWSHelperFn,
    Cidr,
    GetAtt,
    GetAZs,
    Join,
    Output,
    Parameter,
    Ref,
    Select,
    Split,
    Sub,
    Tags,
    Template,
    ec2,
    iam,
    kms,
    logs,
)

from deploy.functions import Statement, add_boundary_parameter, policy, trust
from deploy.keys import THIS_KEY, USE, key_policy

ZONES = 2
HTTPS = 443
FLOW_LOGS = "/vpc/${AWS::StackName}"

# A new security group may send anything anywhere until it is given a rule; this one leads nowhere.
NOWHERE = {"IpProtocol": "-1", "CidrIp": "127.0.0.1/32", "Description": "Nothing leaves"}

# What is called through each endpoint.  A test compares this with what the roles of the systems may do.
GATEWAYS: Mapping[str, Sequence[str]] = {
    "s3": (
        "s3:AbortMultipartUpload",
        "s3:GetObjectVersion",
        "s3:PutObject",
    ),
    "dynamodb": (
        "dynamodb:BatchWriteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    ),
}
INTERFACES: Mapping[str, Sequence[str]] = {
    "ecr.api": ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    "ecr.dkr": ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    "ecs": ("ecs:RunTask",),
    "logs": ("logs:CreateLogStream", "logs:PutLogEvents"),
    "secretsmanager": ("secretsmanager:GetSecretValue",),
    "sqs": ("sqs:SendMessage",),
}


def template() -> Template:
    """The whole stack."""
    stack = Template(Description="Network: private subnets in two zones, endpoints instead of a way to the internet")
    stack.set_version()
    _add_parameters(stack)
    vpc = stack.add_resource(
        ec2.VPC(
            "Vpc",
            CidrBlock=Ref("VpcCidr"),
            EnableDnsSupport=True,
            EnableDnsHostnames=True,  # the endpoints' private names need both
            Tags=Tags(Name=Ref("AWS::StackName")),
        )
    )
    subnets, routes = _add_subnets(stack, vpc)
    _add_gateways(stack, vpc, routes)
    endpoints, clients = _add_security_groups(stack, vpc)
    _add_interfaces(stack, vpc, subnets, endpoints)
    _add_flow_logs(stack, vpc)
    outputs = {
        "VpcId": (Ref(vpc), "The network"),
        "PrivateSubnetIds": (Join(",", [Ref(subnet) for subnet in subnets]), "Its subnets, one in each zone"),
        "EndpointClientsSecurityGroupId": (GetAtt(clients, "GroupId"), "Group of whoever may call AWS from inside"),
        "DefaultSecurityGroupId": (GetAtt(vpc, "DefaultSecurityGroup"), "Group that EC2 made and that nothing is in"),
    }
    for name, (value, description) in outputs.items():
        stack.add_output(Output(name, Value=value, Description=description))
    return stack


def _add_parameters(stack: Template) -> None:
    stack.add_parameter(
        Parameter(
            "VpcCidr",
            Type="String",
            Default="10.20.0.0/20",
            AllowedPattern=r"[0-9]{1,3}(\.[0-9]{1,3}){3}/(1[6-9]|2[0-2])",
            Description="Addresses of the network; each of the two subnets takes 512 of them",
        )
    )
    for service, name in (("S3", "S3PrefixListId"), ("DynamoDB", "DynamoDbPrefixListId")):
        stack.add_parameter(
            Parameter(
                name,
                Type="String",
                AllowedPattern="pl-[0-9a-f]+",
                Description=f"List of the addresses of {service} in this region, which AWS keeps",
            )
        )
    stack.add_parameter(
        Parameter(
            "LogRetentionDays",
            Type="Number",
            Default=90,
            AllowedValues=[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400],
            Description="Days to keep the flow logs",
        )
    )
    add_boundary_parameter(stack)


def _add_subnets(stack: Template, vpc: ec2.VPC) -> tuple[list[ec2.Subnet], list[ec2.RouteTable]]:
    subnets, tables = [], []
    for number in range(ZONES):
        letter = "AB"[number]
        subnet = stack.add_resource(
            ec2.Subnet(
                f"PrivateSubnet{letter}",
                VpcId=Ref(vpc),
                AvailabilityZone=Select(number, GetAZs("")),
                CidrBlock=Select(number, Cidr(Ref("VpcCidr"), ZONES, 9)),
                MapPublicIpOnLaunch=False,
                Tags=Tags(Name=Sub(f"${{AWS::StackName}}-private-{letter.lower()}")),
            )
        )
        table = stack.add_resource(
            ec2.RouteTable(
                f"PrivateRoutes{letter}",
                VpcId=Ref(vpc),
                Tags=Tags(Name=Sub(f"${{AWS::StackName}}-private-{letter.lower()}")),
            )
        )
        stack.add_resource(
            ec2.SubnetRouteTableAssociation(
                f"PrivateRoutes{letter}Association", SubnetId=Ref(subnet), RouteTableId=Ref(table)
            )
        )
        subnets.append(subnet)
        tables.append(table)
    return subnets, tables


def _add_gateways(stack: Template, vpc: ec2.VPC, routes: Sequence[ec2.RouteTable]) -> None:
    for service, actions in GATEWAYS.items():
        further = _buckets_of_aws() if service == "s3" else []
        stack.add_resource(
            ec2.VPCEndpoint(
                f"{_title(service)}Endpoint",
                VpcId=Ref(vpc),
                ServiceName=Sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
                VpcEndpointType="Gateway",
                RouteTableIds=[Ref(table) for table in routes],
                PolicyDocument={"Version": "2012-10-17", "Statement": [_own(actions), *further]},
            )
        )


def _add_interfaces(stack: Template, vpc: ec2.VPC, subnets: Sequence[ec2.Subnet], endpoints: ec2.SecurityGroup) -> None:
    for service, actions in INTERFACES.items():
        further = [_registry_login()] if service == "ecr.api" else []
        stack.add_resource(
            ec2.VPCEndpoint(
                f"{_title(service)}Endpoint",
                VpcId=Ref(vpc),
                ServiceName=Sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
                VpcEndpointType="Interface",
                PrivateDnsEnabled=True,
                SubnetIds=[Ref(subnet) for subnet in subnets],
                SecurityGroupIds=[GetAtt(endpoints, "GroupId")],
                PolicyDocument={"Version": "2012-10-17", "Statement": [_own(actions), *further]},
            )
        )


def _own(actions: Sequence[str]) -> dict[str, Any]:
    """Our principals with our resources.  The endpoint serves all stacks, whose resources it cannot know: hence "*"."""
    account = Ref("AWS::AccountId")
    return {
        "Sid": "OwnRolesOwnResources",
        "Effect": "Allow",
        "Principal": "*",
        "Action": list(actions),
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}},
    }


def _registry_login() -> dict[str, Any]:
    """The one call to ECR that is about no repository, so that it has no resource, nor an account of the resource."""
    return {
        "Sid": "OwnRolesLogIn",
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["ecr:GetAuthorizationToken"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": Ref("AWS::AccountId")}},
    }


def _buckets_of_aws() -> list[dict[str, Any]]:
    """Buckets of AWS that our stacks cannot do without; their URLs are signed by AWS, so that no principal is ours.

    Sources: Amazon ECR User Guide, "Amazon ECR interface VPC endpoints" (layers of an image); AWS CloudFormation User
    Guide, "Setting up VPC endpoints for AWS CloudFormation" (the answer of a custom resource).
    """
    region = Join("", Split("-", Ref("AWS::Region")))
    return [
        {
            "Sid": "ImageLayers",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": Sub("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*"),
        },
        {
            "Sid": "AnswersToCloudFormation",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:PutObject"],
            "Resource": Sub(
                "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${Region}/*", Region=region
            ),
        },
    ]


def _add_security_groups(stack: Template, vpc: ec2.VPC) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
    endpoints = stack.add_resource(
        ec2.SecurityGroup(
            "Endpoints",
            VpcId=Ref(vpc),
            GroupDescription="The endpoints that AWS services are called through",
            SecurityGroupEgress=[NOWHERE],
        )
    )
    clients = stack.add_resource(
        ec2.SecurityGroup(
            "EndpointClients",
            VpcId=Ref(vpc),
            GroupDescription="Whoever calls AWS through the endpoints",
            SecurityGroupEgress=[
                _https("To the interface endpoints", DestinationSecurityGroupId=GetAtt(endpoints, "GroupId")),
                _https("To S3 through its gateway", DestinationPrefixListId=Ref("S3PrefixListId")),
                _https("To DynamoDB through its gateway", DestinationPrefixListId=Ref("DynamoDbPrefixListId")),
            ],
        )
    )
    # The two groups name each other, so one of the rules stands by itself.
    stack.add_resource(
        ec2.SecurityGroupIngress(
            "EndpointsFromClients",
            GroupId=GetAtt(endpoints, "GroupId"),
            **_https("From the clients of the endpoints", SourceSecurityGroupId=GetAtt(clients, "GroupId")),
        )
    )
    return endpoints, clients


def _https(description: str, **end: AWSHelperFn) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": HTTPS, "ToPort": HTTPS, "Description": description, **end}


def _add_flow_logs(stack: Template, vpc: ec2.VPC) -> None:
    log_arn = f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{FLOW_LOGS}"
    key = stack.add_resource(
        kms.Key(
            "FlowLogKey",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",  # KMS keeps it for the days of PendingWindowInDays
            Description="Encrypts the flow logs",
            EnableKeyRotation=True,
            PendingWindowInDays=30,
            KeyPolicy=key_policy(
                {
                    "Sid": "FlowLogs",
                    "Effect": "Allow",
                    "Principal": {"Service": Sub("logs.${AWS::Region}.amazonaws.com")},
                    "Action": list(USE),
                    "Resource": THIS_KEY,
                    "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": Sub(log_arn)}},
                }
            ),
        )
    )
    group = stack.add_resource(
        logs.LogGroup(
            "FlowLogs",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            LogGroupName=Sub(FLOW_LOGS),
            KmsKeyId=GetAtt(key, "Arn"),
            RetentionInDays=Ref("LogRetentionDays"),
        )
    )
    role = stack.add_resource(
        iam.Role(
            "FlowLogRole",
            AssumeRolePolicyDocument=_trust_of_flow_logs(),
            PermissionsBoundary=Ref("PermissionsBoundaryArn"),
            Policies=[
                iam.Policy(
                    PolicyName="FlowLog",
                    PolicyDocument=policy(
                        [
                            Statement(
                                ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                                [GetAtt(group, "Arn")],
                            )
                        ]
                    ),
                )
            ],
        )
    )
    stack.add_resource(
        ec2.FlowLog(
            "FlowLog",
            ResourceId=Ref(vpc),
            ResourceType="VPC",
            TrafficType="ALL",
            LogDestinationType="cloud-watch-logs",
            LogDestination=GetAtt(group, "Arn"),
            DeliverLogsPermissionArn=GetAtt(role, "Arn"),
            MaxAggregationInterval=600,
        )
    )


def _trust_of_flow_logs() -> dict[str, Any]:
    """Flow logs of this account only.  Source: Amazon VPC User Guide, "IAM role for publishing flow logs"."""
    document = trust("vpc-flow-logs.amazonaws.com")
    document["Statement"][0]["Condition"] = {
        "StringEquals": {"aws:SourceAccount": Ref("AWS::AccountId")},
        "ArnLike": {"aws:SourceArn": Sub("arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:vpc-flow-log/*")},
    }
    return document


def _title(service: str) -> str:
    return "".join(part.capitalize() for part in service.split("."))
