"""Guard: what a template declares and the embedded AWS would not do, so that no test passes on a dropped property.

The first list is what was measured on ministack 1.5.33 (each property created by a stack, then read back through its
service), less what `kept` and the other modules here put right; the second what is kept for reading only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CloudError

DROPPED: Mapping[str, Mapping[str, str]] = {
    "AWS::Events::Connection": {"InvocationConnectivityParameters": "there is no private connectivity"},
    "AWS::SNS::Subscription": {"ReplayPolicy": "nothing is archived that could be replayed"},
    "AWS::SNS::Topic": {"DataProtectionPolicy": "messages are not looked through"},
    "AWS::StepFunctions::StateMachine": {
        "LoggingConfiguration": "executions write no log",
        "TracingConfiguration": "there are no traces",
    },
}
"""Properties that vanish without a word, by type, each with what that means."""

INERT: Mapping[str, Mapping[str, str]] = {
    "AWS::Chatbot::SlackChannelConfiguration": {
        "CustomizationResourceArns": "there are no custom actions",
        "GuardrailPolicies": "nobody gives commands in the channel",
        "IamRoleArn": "nobody gives commands in the channel",
        "LoggingLevel": "nothing is logged",
    },
    "AWS::EC2::FlowLog": {"TrafficType": "there is no traffic inside a VPC to record"},
    "AWS::EC2::VPCEndpoint": {
        "PolicyDocument": "calls do not pass the endpoint, so its policy refuses nothing",
        "PrivateDnsEnabled": "names inside a VPC are not resolved",
    },
    "AWS::ECS::TaskDefinition": {"Cpu": "a task has the whole machine", "Memory": "a task has the whole machine"},
    "AWS::RDS::DBInstance": {
        "BackupRetentionPeriod": "there are no backups",
        "EnableCloudwatchLogsExports": "the server's log stays in its folder",
        "MultiAZ": "there is one server",
    },
    "AWS::SNS::Subscription": {"SubscriptionRoleArn": "there is no Firehose to deliver to"},
    "AWS::SNS::Topic": {
        "ArchivePolicy": "nothing is archived",
        "MaximumMessageSize": "the limit is always 256 KiB",
        "TracingConfig": "there are no traces",
    },
    "AWS::S3::Bucket": {
        "LifecycleConfiguration": "objects never expire or move",
        "LoggingConfiguration": "no access logs are written",
    },
}
"""Properties that are kept and read back, but do nothing here."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A declared property that has no effect here."""

    logical_id: str
    type: str
    property: str
    consequence: str

    def __str__(self) -> str:
        return f"{self.logical_id} ({self.type}): {self.property} has no effect in the embedded AWS: {self.consequence}"


def unsupported(template: Mapping[str, Any]) -> tuple[Dropped, ...]:
    """The declared properties of ``template`` (as read from JSON or YAML) without effect here, in order."""
    found = []
    for logical_id, resource in sorted((template.get("Resources") or {}).items()):
        if not isinstance(resource, Mapping):
            continue
        kind = str(resource.get("Type", ""))
        declared = resource.get("Properties") or {}
        without_effect = {**DROPPED.get(kind, {}), **INERT.get(kind, {})}
        for name, consequence in sorted(without_effect.items()):
            if isinstance(declared, Mapping) and declared.get(name) not in (None, {}, [], ""):
                found.append(Dropped(logical_id, kind, name, consequence))
    return tuple(found)


def require(template: Mapping[str, Any]) -> None:
    """Raise CloudError if ``template`` declares anything that has no effect here: for a test that relies on all of it."""
    if found := unsupported(template):
        raise CloudError("; ".join(map(str, found)))


def read_back(cloudformation: Any, stack: str) -> dict[str, str]:
    """The physical id of each resource of a deployed stack, by logical id; ``cloudformation`` is a boto3 client.

    Raises CloudError for a resource that is not complete or has no id: a finished stack alone proves nothing.
    """
    found: dict[str, str] = {}
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    for resource in (each for page in pages for each in page["StackResourceSummaries"]):
        name, status = resource["LogicalResourceId"], resource["ResourceStatus"]
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE") or not resource.get("PhysicalResourceId"):
            raise CloudError(f"stack {stack}: {name} ({resource['ResourceType']}) is {status} and not there to be read")
        found[name] = resource["PhysicalResourceId"]
    return dict(sorted(found.items()))
