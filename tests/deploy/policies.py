"""Every policy of our templates as it will stand in the account: whose it is, of which kind, with ARNs in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tocsin.cloudformation.document import load
from tocsin.cloudformation.intrinsics import Resolved, resolve

REGION, ACCOUNT = "eu-west-1", "111122223333"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/example/0",
    "AWS::StackName": "example",
    "AWS::URLSuffix": "amazonaws.com",
}

# What GetAtt Arn of a resource becomes; {} is its logical id.  An unknown type is an error of the reader below.
_HERE = f"{REGION}:{ACCOUNT}"
ARNS = {
    "AWS::CloudFormation::Stack": f"arn:aws:cloudformation:{_HERE}:stack/{{}}/0",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{_HERE}:table/{{}}",
    "AWS::Events::ApiDestination": f"arn:aws:events:{_HERE}:api-destination/{{}}/0",
    "AWS::EC2::FlowLog": f"arn:aws:ec2:{_HERE}:vpc-flow-log/fl-0123456789abcdef0",
    "AWS::ECR::Repository": f"arn:aws:ecr:{_HERE}:repository/{{}}",
    "AWS::ECS::Cluster": f"arn:aws:ecs:{_HERE}:cluster/{{}}",
    "AWS::Events::Rule": f"arn:aws:events:{_HERE}:rule/{{}}",
    "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{{}}",
    "AWS::IAM::OIDCProvider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{_HERE}:key/00000000-0000-0000-0000-000000000000",
    "AWS::Lambda::Function": f"arn:aws:lambda:{_HERE}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{_HERE}:log-group:{{}}:*",
    "AWS::RDS::DBInstance": f"arn:aws:rds:{_HERE}:db:{{}}",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SNS::Topic": f"arn:aws:sns:{_HERE}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{_HERE}:{{}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{_HERE}:secret:{{}}-AbCdEf",
}
# Resources whose Ref is their ARN, and what those with an id of their own making look like.
REF_IS_ARN = {
    "AWS::ECS::TaskDefinition": f"arn:aws:ecs:{_HERE}:task-definition/{{}}:1",
    "AWS::IAM::ManagedPolicy": ARNS["AWS::IAM::ManagedPolicy"],
    "AWS::IAM::OIDCProvider": ARNS["AWS::IAM::OIDCProvider"],
    "AWS::SNS::Topic": ARNS["AWS::SNS::Topic"],
    "AWS::SecretsManager::Secret": ARNS["AWS::SecretsManager::Secret"],
}
IDS = {
    "AWS::EC2::VPC": "vpc-0123456789abcdef0",
    "AWS::EC2::VPCEndpoint": "vpce-0123456789abcdef0",
    "AWS::EC2::SecurityGroup": "sg-0123456789abcdef0",
    "AWS::EC2::Subnet": "subnet-0123456789abcdef0",
    "AWS::KMS::Key": "00000000-0000-0000-0000-000000000000",
}
# Parameters that are ARNs of something else than a role.
PARAMETERS = {
    "LoaderRepositoryArn": f"arn:aws:ecr:{_HERE}:repository/loader",
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
}
PLACEHOLDER = re.compile(r"\$\{(?!!)([^}]*)\}")

Kind = Literal["identity", "resource", "trust"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy document, at ``<stack>.<logical id>``.

    ``identity`` policies say what their owner may do, ``resource`` policies who may use a resource, ``trust`` policies
    who may take on a role.
    """

    at: str
    kind: Kind
    document: dict[str, Any]


def policies(stack: str, template: Path) -> list[Policy]:
    """Every policy document that stands anywhere in the template's resources.  Undecided conditions count as true."""
    resources = resolve(load(template), pseudo=PSEUDO)
    types = {resource.logical_id: resource.type for resource in resources}
    return [
        Policy(
            f"{stack}.{resource.logical_id}", _kind(resource, key), _of_its_own(resource, _completed(document, types))
        )
        for resource in resources
        for key, document in _documents(resource.properties)
    ]


def _of_its_own(resource: Resolved, document: dict[str, Any]) -> dict[str, Any]:
    """A key policy says * for the key it belongs to, the one resource it can speak of (KMS Developer Guide, "Key policies")."""
    if resource.type != "AWS::KMS::Key":
        return document
    itself = ARNS["AWS::KMS::Key"]
    statements = [
        {**each, "Resource": itself if each["Resource"] == "*" else each["Resource"]} for each in document["Statement"]
    ]
    return {**document, "Statement": statements}


def _documents(value: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if "Statement" in value:
            yield key, value
            return
        for name, item in value.items():
            if name != "DataProtectionPolicy":  # what a log masks: it permits nobody anything
                yield from _documents(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _documents(item, key)


def _kind(resource: Resolved, key: str) -> Kind:
    if key == "AssumeRolePolicyDocument":
        return "trust"
    return "identity" if resource.type.startswith("AWS::IAM::") else "resource"


def _completed(value: Any, types: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_completed(name, types): _completed(item, types) for name, item in value.items()}
    if isinstance(value, list):
        return [_completed(item, types) for item in value]
    if isinstance(value, str):
        filled = PLACEHOLDER.sub(lambda match: _filled(match[1], types), value)
        return filled.replace("${!", "${")
    return value


def _filled(reference: str, types: dict[str, str]) -> str:
    name, _, attribute = reference.partition(".")
    kind = types.get(name)
    if kind is None:  # a parameter
        return PARAMETERS.get(
            name, f"arn:aws:iam::{ACCOUNT}:role/{name}" if name.endswith("Arn") else f"{name.lower()}-value"
        )
    if attribute.endswith("SecretArn"):
        kind = "AWS::SecretsManager::Secret"
    if attribute == "Arn" or (attribute.endswith("Arn") and kind in ARNS):
        return ARNS[kind].format(name)
    if attribute:
        return f"{name}-{attribute}".replace(".", "-")
    return REF_IS_ARN.get(kind, IDS.get(kind, "{}")).format(name)
