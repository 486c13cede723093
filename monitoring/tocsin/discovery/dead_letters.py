"""Finds the queues that other resources dead-letter into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..cloudformation.intrinsics import Resolved
from ..cloudformation.splitting import PLACEHOLDER
from ..cloudformation.symbolic import references

QUEUE = "AWS::SQS::Queue"

# Where the services name the target of what they give up on: SQS and SNS redrive policies, Lambda, EventBridge,
# Scheduler, Pipes and SAM, and the failure destinations of Lambda and its event source mappings.
_TARGETS = {
    "deadLetterTargetArn": None,
    "DeadLetterConfig": ("TargetArn", "Arn", "QueueLogicalId"),
    "DeadLetterQueue": ("TargetArn",),
    "OnFailure": ("Destination",),
}


def dead_letter_queues(resources: Iterable[Resolved]) -> frozenset[str]:
    """The logical ids of the template's queues that are named as a dead-letter target, or declare themselves one."""
    everything = list(resources)
    queues = {resource.logical_id for resource in everything if resource.type == QUEUE}
    by_name = {
        str(resource.properties["QueueName"]): resource.logical_id
        for resource in everything
        if resource.type == QUEUE and resource.properties.get("QueueName")
    }
    found: set[str] = set()
    if not queues:
        return frozenset()
    for resource in everything:
        if resource.type == QUEUE and _declares_itself(resource.properties.get("RedriveAllowPolicy")):
            found.add(resource.logical_id)
        for target in _targets(resource.properties):
            if named := {reference.logical_id for reference in references(target)} & queues:
                found |= named
            elif isinstance(target, str):
                name = _last_segment(target)
                found |= {by_name[name]} if name in by_name else {target} & queues
    return frozenset(found)


def _targets(node: Any) -> Iterator[Any]:
    """Every dead-letter target in the properties of a resource."""
    if isinstance(node, list):
        for item in node:
            yield from _targets(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in _TARGETS:
            names = _TARGETS[key]
            if names is None:
                yield value
            elif isinstance(value, dict):
                yield from (value[name] for name in names if name in value)
        elif key == "RedrivePolicy" and isinstance(value, str):
            yield _target_in_json(value)
        else:
            yield from _targets(value)


def _target_in_json(policy: str) -> Any:
    """The target in a redrive policy that is written as JSON text; of Symbolic text its references will do."""
    if references(policy):
        return policy
    read = _parsed(policy)
    return read.get("deadLetterTargetArn") if isinstance(read, dict) else None


def _declares_itself(policy: Any) -> bool:
    """Whether a RedriveAllowPolicy names the queues that may dead-letter into this one."""
    if isinstance(policy, str):
        policy = _parsed(policy)
    return isinstance(policy, dict) and bool(policy.get("sourceQueueArns"))


def _last_segment(arn: str) -> str:
    """The name at the end of an ARN or URL.  A placeholder such as ``${AWS::Region}`` holds colons of its own."""
    masked = PLACEHOLDER.sub(lambda match: "x" * len(match.group()), arn)
    return arn[max(masked.rfind(":"), masked.rfind("/")) + 1 :]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
