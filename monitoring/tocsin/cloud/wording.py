"""What a deployment does, in words: a line for each stack, resource and property."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .deploy import DeployEvent, StackOutcome, StackPlan, Work
from .differences import Action, PropertyChange, Replacement
from .stacks import StackEvent

_WORK = {
    Work.CREATE: "to be created",
    Work.RECREATE: "to be deleted, because its creation failed, and created again",
    Work.UPDATE: "to be changed",
    Work.NOTHING: "is as committed",
}
_DONE = {
    Work.CREATE: "created",
    Work.RECREATE: "created again",
    Work.UPDATE: "changed",
    Work.NOTHING: "is as committed",
}
_SIGNS = {Action.ADD: "+", Action.CHANGE: "~", Action.REMOVE: "-"}
_REPLACED = {Replacement.NO: "", Replacement.MAYBE: ", perhaps replaced", Replacement.YES: ", replaced"}


def planned(plan: StackPlan) -> Iterator[str]:
    """A stack and its changes."""
    yield f"{plan.stack} ({plan.source}): {_WORK[plan.work]}"
    if plan.work is not Work.NOTHING:
        for changed in plan.parameters:
            yield f"  parameter {changed.name}: {_value(changed.before)} → {_value(changed.after)}"
    if plan.work in (Work.CREATE, Work.RECREATE):  # all of it is new, so numbers tell more than names
        for kind, number in sorted(Counter(change.type for change in plan.changes).items()):
            yield f"  + {number} {kind}"
    else:
        for change in plan.changes:
            yield f"  {_SIGNS[change.action]} {change.logical_id} ({change.type}{_REPLACED[change.replacement]})"
            yield from (f"      {_property(changed)}" for changed in change.properties)
    if plan.unknown:
        yield f"  known only once the routing is there: {', '.join(plan.unknown)}"


def _property(changed: PropertyChange) -> str:
    text = changed.name
    if changed.before is not None or changed.after is not None:
        text += f": {_value(changed.before)} → {_value(changed.after)}"
    if changed.cause is not None:
        text += f" (because of {changed.cause})"
    return text


def _value(text: str | None) -> str:
    return "nothing" if text is None else " ".join(text.split()) or "empty"


def happened(event: DeployEvent) -> Iterator[str]:
    """A step of a deployment that is worth a line: a plan with changes, a failure, or an outcome."""
    if isinstance(event, StackPlan) and event.work is not Work.NOTHING:
        yield from planned(event)
    elif isinstance(event, StackOutcome):
        yield f"{event.stack}: {_DONE[event.work]}"
    elif isinstance(event, StackEvent) and event.failed:
        yield f"  {event.logical_id} failed: {' '.join(event.reason.split()) or event.status}"


def as_json(one: StackPlan | StackOutcome) -> dict[str, Any]:
    """A planned or deployed stack for a machine."""
    parameters = one.parameters if isinstance(one, StackPlan) else ()
    return {
        "stack": one.stack,
        "source": one.source,
        "system": one.system,
        "work": one.work.value,
        "parameters": [{"name": item.name, "before": item.before, "after": item.after} for item in parameters],
        "changes": [
            {
                "action": change.action.value,
                "logical_id": change.logical_id,
                "type": change.type,
                "physical_id": change.physical_id,
                "replacement": change.replacement.value,
                "properties": [
                    {"name": item.name, "before": item.before, "after": item.after, "cause": item.cause}
                    for item in change.properties
                ],
            }
            for change in one.changes
        ],
    }
