"""CloudFormation stacks as they stand: state, outputs, resources, events, and what to do about a state that blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..cloudformation.document import parse
from ..errors import CloudError
from .session import Cloud, asking, error_code

_SHOWN_REASONS = 3
HIDDEN = "****"  # what CloudFormation shows of a NoEcho parameter
# These only say that another resource failed first.
_CONSEQUENCES = ("Resource creation cancelled", "Resource update cancelled")


class Readiness(StrEnum):
    """What a deployment may do with a stack in its present state."""

    CREATE = "create"  # there is no such stack, or only an empty shell that a change set made
    RECREATE = "recreate"  # its creation was rolled back: nothing of it has ever been in service
    UPDATE = "update"
    BUSY = "busy"
    STUCK = "stuck"


_UPDATABLE = {
    "CREATE_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}
_DELETE = "delete it (aws cloudformation delete-stack --stack-name {name}) and deploy again"
_REMEDIES = {
    "CREATE_FAILED": _DELETE,
    "ROLLBACK_FAILED": (
        "lift the deletion protection of what could not be deleted, "
        "delete the stack (aws cloudformation delete-stack --stack-name {name}) and deploy again"
    ),
    "DELETE_FAILED": (
        "delete the rest of it (aws cloudformation delete-stack --stack-name {name} "
        "--deletion-mode FORCE_DELETE_STACK) and deploy again"
    ),
    "UPDATE_FAILED": "roll it back (aws cloudformation rollback-stack --stack-name {name}) and deploy again",
    "UPDATE_ROLLBACK_FAILED": (
        "finish the rollback (aws cloudformation continue-update-rollback --stack-name {name}, with --resources-to-skip "
        "{failed} if that cannot be mended) and deploy again"
    ),
}
_ANY_REMEDY = "mend it in CloudFormation and deploy again"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it.  ``id`` is its ARN; values of NoEcho parameters are asterisks."""

    name: str
    id: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StackResource:
    """One resource of a stack."""

    logical_id: str
    physical_id: str
    type: str
    status: str


@dataclass(frozen=True, slots=True)
class StackEvent:
    """One step of CloudFormation's work on a resource, or on the stack itself (then ``logical_id`` is its name)."""

    id: str
    stack: str
    logical_id: str
    type: str
    status: str
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether this step is a cause of a rollback."""
        return self.status.endswith("_FAILED") and not self.reason.startswith(_CONSEQUENCES)


def find_stack(cloud: Cloud, name: str) -> Stack | None:
    """The stack of that name or ARN, or None if there is none.  Raises CloudError."""
    with asking(f"look at stack {name}"):
        try:
            found = cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except Exception as error:
            if error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    if not found or found[0]["StackStatus"] == "DELETE_COMPLETE":
        return None
    stack = found[0]
    return Stack(
        name=stack["StackName"],
        id=stack["StackId"],
        status=stack["StackStatus"],
        reason=stack.get("StackStatusReason") or "",
        parameters={
            item["ParameterKey"]: item.get("ParameterValue") or ""
            for item in sorted(stack.get("Parameters") or (), key=lambda item: str(item["ParameterKey"]))
        },
        outputs={
            item["OutputKey"]: item["OutputValue"]
            for item in sorted(stack.get("Outputs") or (), key=lambda item: str(item["OutputKey"]))
        },
    )


def readiness(stack: Stack | None) -> Readiness:
    """What a deployment may do with the stack."""
    if stack is None or stack.status == "REVIEW_IN_PROGRESS":
        return Readiness.CREATE
    if stack.status == "ROLLBACK_COMPLETE":
        return Readiness.RECREATE
    if stack.status in _UPDATABLE:
        return Readiness.UPDATE
    return Readiness.BUSY if stack.status.endswith("_IN_PROGRESS") else Readiness.STUCK


def refuse_blocked(cloud: Cloud, stack: Stack | None) -> None:
    """Raise CloudError, with what to do, for a stack that is being changed or is stuck in a failed state."""
    if stack is None:
        return
    match readiness(stack):
        case Readiness.BUSY:
            raise CloudError(
                f"stack {stack.name} is being changed by somebody else ({stack.status}): "
                "wait until that has finished and deploy again"
            )
        case Readiness.STUCK:
            events = last_operation(events_since(cloud, stack.id, None))
            failed = dict.fromkeys(event.logical_id for event in causes(events))
            remedy = _REMEDIES.get(stack.status, _ANY_REMEDY).format(name=stack.name, failed=" ".join(failed) or "…")
            reasons = explain_failure(events) or stack.reason
            because = f": {reasons}" if reasons else ""
            raise CloudError(f"stack {stack.name} is stuck in {stack.status}{because}; {remedy}")
        case _:
            return


def deployed_defaults(cloud: Cloud, name: str) -> Mapping[str, str]:
    """The defaults of the parameters in the template that a stack was last deployed from.  Raises CloudError."""
    with asking(f"read the template of stack {name}"):
        body = cloud.client("cloudformation").get_template(StackName=name)["TemplateBody"]
    text = body if isinstance(body, str) else json.dumps(body)
    declared = parse(text, f"the template of stack {name}").tree.get("Parameters") or {}
    return {key: str(each["Default"]) for key, each in declared.items() if each.get("Default") is not None}


def require_stack(cloud: Cloud, name: str, advice: str) -> Stack:
    """A stack whose resources are in service.  Raises CloudError, ending in ``advice``, when it is missing."""
    stack = find_stack(cloud, name)
    if stack is None:
        raise CloudError(f"stack {name} does not exist in {cloud.region}; {advice}")
    refuse_blocked(cloud, stack)
    if readiness(stack) is not Readiness.UPDATE:
        raise CloudError(f"stack {name} has no resources ({stack.status}); {advice}")
    return stack


def stack_resources(cloud: Cloud, name: str) -> Mapping[str, StackResource]:
    """The resources of a stack by logical id, without those that were deleted.  Raises CloudError."""
    found: dict[str, StackResource] = {}
    with asking(f"list the resources of stack {name}"):
        for page in cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name):
            for item in page["StackResourceSummaries"]:
                if item["ResourceStatus"] != "DELETE_COMPLETE" and item.get("PhysicalResourceId"):
                    found[item["LogicalResourceId"]] = StackResource(
                        item["LogicalResourceId"],
                        item["PhysicalResourceId"],
                        item["ResourceType"],
                        item["ResourceStatus"],
                    )
    return dict(sorted(found.items()))


def last_event(cloud: Cloud, name: str) -> str | None:
    """The id of the newest event of a stack."""
    with asking(f"read the events of stack {name}"):
        found = cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return str(found[0]["EventId"]) if found else None


def events_since(cloud: Cloud, name: str, seen: str | None) -> tuple[StackEvent, ...]:
    """The events of a stack after the one with id ``seen``, oldest first; all for None.  Raises CloudError."""
    with asking(f"read the events of stack {name}"):
        return tuple(reversed(tuple(_newest_first(cloud, name, seen))))


def _newest_first(cloud: Cloud, name: str, seen: str | None) -> Iterator[StackEvent]:
    for page in cloud.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=name):
        for item in page["StackEvents"]:
            if item["EventId"] == seen:
                return
            yield StackEvent(
                id=item["EventId"],
                stack=item["StackName"],
                logical_id=item["LogicalResourceId"],
                type=item["ResourceType"],
                status=item["ResourceStatus"],
                reason=item.get("ResourceStatusReason") or "",
            )


def last_operation(events: tuple[StackEvent, ...]) -> tuple[StackEvent, ...]:
    """Of a stack's events those of the last thing that CloudFormation did to it; a rollback is such a thing."""
    begun = [
        place
        for place, event in enumerate(events)
        if event.logical_id == event.stack and event.status.endswith("_IN_PROGRESS")
    ]
    return events[begun[-1] :] if begun else events


def causes(events: tuple[StackEvent, ...]) -> tuple[StackEvent, ...]:
    """The steps that failed by themselves, first things first."""
    return tuple(event for event in events if event.failed and event.type != "AWS::CloudFormation::Stack")


def explain_failure(events: tuple[StackEvent, ...]) -> str:
    """The causes of a rollback, first things first, in one line; empty when the events tell none."""
    told = [f"{event.logical_id} ({event.type}): {event.reason or event.status}" for event in causes(events)]
    shown = "; ".join(told[:_SHOWN_REASONS])
    if len(told) > _SHOWN_REASONS:
        shown += f"; and {len(told) - _SHOWN_REASONS} more"
    return " ".join(shown.split())
