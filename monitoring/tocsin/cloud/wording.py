"""What a deployment does, in words: one line for each stack and each resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .deploy import DeployEvent, StackOutcome, StackPlan, Work
from .differences import Replacement, ResourceChange

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
_SIGNS = {"add": "+", "change": "~", "remove": "-"}


def planned(plan: StackPlan) -> Iterator[str]:
    """A stack and its changes."""
    yield f"{plan.stack} ({plan.source}): {_WORK[plan.work]}"
    for change in plan.changes:
        yield f"  {_SIGNS.get(change.action.value, change.action.value)} {change.logical_id} ({change.type}){_detail(change)}"
    if plan.unknown:
        yield f"  known only once the routing is there: {', '.join(plan.unknown)}"


def _detail(change: ResourceChange) -> str:
    detail = {Replacement.YES: ", replaced", Replacement.MAYBE: ", perhaps replaced"}.get(change.replacement, "")
    if change.properties:
        detail += ": " + ", ".join(sorted({one.name for one in change.properties}))
    return detail


def happened(event: DeployEvent) -> Iterator[str]:
    """A step of a deployment that is worth a line: a plan with changes, or an outcome."""
    if isinstance(event, StackPlan) and event.work is not Work.NOTHING:
        yield from planned(event)
    elif isinstance(event, StackOutcome):
        yield f"{event.stack}: {_DONE[event.work]}"


def as_json(one: StackPlan | StackOutcome) -> dict[str, Any]:
    """A planned or deployed stack for a machine."""
    return {
        "stack": one.stack,
        "source": one.source,
        "system": one.system,
        "work": one.work.value,
        "changes": [
            {
                "action": change.action.value,
                "logical_id": change.logical_id,
                "type": change.type,
                "replacement": change.replacement.value,
            }
            for change in one.changes
        ],
    }
