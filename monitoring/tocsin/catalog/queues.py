"""How long SQS keeps a queue's messages, how often it has them tried, and who reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..cloudformation.symbolic import Symbolic
from ..model import Resource
from ..units import format_duration
from .properties import amount, is_switched_off, mappings, names

# CloudFormation's defaults when a template names none.
DEFAULT_RETENTION_S = 345_600
DEFAULT_VISIBILITY_S = 30
DEFAULT_RECEIVES = 10
# SQS allows no more.
LONGEST_VISIBILITY_S = 43_200
MOST_RECEIVES = 1_000
#: Concurrent executions of one function for one queue.
MOST_POLLERS = 1_250
#: The age of the oldest message leaves out a message that was received three times without being deleted.
RECEIVES_COUNTED = 3


def seconds(value: float) -> str:
    """A number of seconds as people read it."""
    return format_duration(timedelta(seconds=value)) if value else "0 s"


def retention_of(queue: Resource) -> float | None:
    """Seconds until SQS deletes a message; None where only a deployment can tell."""
    return amount(queue, "MessageRetentionPeriod", DEFAULT_RETENTION_S)


def redrive_policy(queue: Resource) -> Mapping[str, Any]:
    """The redrive policy, which templates write as a mapping or as JSON text; empty if there is none to be read."""
    policy = queue.properties.get("RedrivePolicy")
    if isinstance(policy, str):
        try:
            read = json.loads(policy)
        except ValueError:
            return {}
        keep = type(policy) if isinstance(policy, Symbolic) else str
        policy = {k: keep(v) if isinstance(v, str) else v for k, v in read.items()} if isinstance(read, dict) else {}
    return policy if isinstance(policy, Mapping) else {}


def time_to_give_up(queue: Resource) -> tuple[float, str] | None:
    """Seconds from a message's first receive until its last receive ends, and how they come about."""
    visibility = amount(queue, "VisibilityTimeout", DEFAULT_VISIBILITY_S)
    delay = amount(queue, "DelaySeconds", 0)
    receives: float | None = RECEIVES_COUNTED
    if queue.properties.get("RedrivePolicy") is not None:
        policy = redrive_policy(queue)
        read = Resource(queue.type, queue.logical_id, properties=policy)
        receives = amount(read, "maxReceiveCount", DEFAULT_RECEIVES) if policy else None
    if visibility is None or receives is None or delay is None:
        return None
    visibility, receives = min(visibility, LONGEST_VISIBILITY_S), min(receives, MOST_RECEIVES)
    spent = receives * visibility + delay
    words = f"{receives:g} × the visibility timeout of {seconds(visibility)}"
    return spent, words + (f" and the delay of {seconds(delay)}" if delay else "") + f" = {seconds(spent)}"


def is_read_at_once(queue: Resource) -> bool:
    """Whether something in the template polls the queue all the time."""
    for resource in queue.surroundings.values():
        properties = resource.properties
        match resource.type:
            case "AWS::Lambda::EventSourceMapping" if not is_switched_off(resource):
                source = properties.get("EventSourceArn")
            case "AWS::Pipes::Pipe":
                source = properties.get("Source")
            case "AWS::Serverless::Function":
                events = properties.get("Events")
                source = [
                    event.get("Properties")
                    for event in mappings(list(events.values()) if isinstance(events, dict) else None)
                    if event.get("Type") == "SQS"
                ]
            case _:
                continue
        if names(source, queue):
            return True
    return False


def most_in_flight(queue: Resource) -> int | None:
    """How many messages the queue's Lambda functions can hold at once; None if somebody else may read it too.

    Lambda runs a function 1,250 times at once for one queue unless MaximumConcurrency says less (Lambda guide, "Configuring
    scaling behavior for SQS event source mappings"), each with a batch.
    """
    total = 0
    for resource in queue.surroundings.values():
        if resource.type == "AWS::Lambda::EventSourceMapping" and names(
            resource.properties.get("EventSourceArn"), queue
        ):
            scaling = resource.properties.get("ScalingConfig")
            scaling = Resource(
                resource.type, resource.logical_id, properties=scaling if isinstance(scaling, dict) else {}
            )
            batch, pollers = amount(resource, "BatchSize", 10), amount(scaling, "MaximumConcurrency", MOST_POLLERS)
            if batch is None or pollers is None:
                return None
            total += int(batch * pollers)
    return total or None


def sources_of(queue: Resource) -> tuple[Resource, ...]:
    """The queues of the template that dead-letter into this one."""
    return tuple(
        resource
        for _, resource in sorted(queue.surroundings.items())
        if resource.type == queue.type and names(redrive_policy(resource).get("deadLetterTargetArn"), queue)
    )
