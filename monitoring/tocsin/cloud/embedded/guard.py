"""Guard: what a template declares and the embedded AWS would not do, so that no test passes on a dropped property.

The list is what was measured on ministack 1.5.33 (each property created by a stack, then read back through its
service), less what `kept` and the other modules here put right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CloudError

DROPPED: Mapping[str, Mapping[str, str]] = {
    "AWS::EC2::VPCEndpoint": {"PrivateDnsEnabled": "names inside a VPC are not resolved"},
    "AWS::S3::Bucket": {"LifecycleConfiguration": "objects never expire or move"},
    "AWS::StepFunctions::StateMachine": {
        "LoggingConfiguration": "executions write no log",
        "TracingConfiguration": "there are no traces",
    },
}
"""Properties that vanish without a word, by type, each with what that means."""


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
    """The declared properties of ``template`` (as read from JSON or YAML) that the embedded AWS drops, in order."""
    found = []
    for logical_id, resource in sorted((template.get("Resources") or {}).items()):
        if not isinstance(resource, Mapping):
            continue
        kind = str(resource.get("Type", ""))
        declared = resource.get("Properties") or {}
        for name, consequence in sorted(DROPPED.get(kind, {}).items()):
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
