"""What ``tocsin oncall`` shows: plans, steps, replays, and what stands in the way of a page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from .output import count

if TYPE_CHECKING:
    from ..oncall.apply import OnCallPlan, Step
    from ..oncall.reach import Open
    from ..oncall.replay import Replay, Replayed
    from ..paging.tool import Change

_SIGNS = {"create": "+", "update": "~", "delete": "-"}


def planned_lines(found: OnCallPlan) -> Iterator[str]:
    """What a plan says, in lines."""
    if found.nothing:
        yield f"{found.environment}: nothing to change"
        return
    from ..cloud.deploy import Work
    from ..cloud.wording import planned
    from ..paging.changes import describe

    yield f"{found.tool}: {count(len(found.changes), 'change') if found.changes else 'as declared'}"
    for kind, changes in groupby(found.changes, key=lambda change: change.kind.value):
        yield f"  {kind}s"
        for change in changes:
            yield from (f"    {line}" for line in describe(change))
    if found.keys:
        yield "keys, into Secrets Manager"
        yield from (f"  {'~' if slot in found.renewed else '+'} {slot.secret}" for slot in found.keys)
    if found.outdated:
        yield "secrets that no route wants any more, kept for 7 days"
        yield from (f"  - {secret}" for secret in found.outdated)
    if found.keys and found.stack.work is Work.NOTHING:
        yield f"{found.stack.stack} ({found.stack.source}): to be changed, once the keys are there"
    else:
        yield from planned(found.stack)


def warn(points: tuple[Open, ...]) -> None:
    """Say on standard error what stands in the way of a page."""
    for point in points:
        click.echo(f"tocsin: {point.what}", err=True)


def step_line(step: Step) -> str:
    """One step that is done."""
    sign = f"{_SIGNS[step.change.action.value]} " if step.change is not None else ""
    return f"{step.number} of {step.of}  {sign}{step.what}"


def plan_json(found: OnCallPlan) -> dict[str, Any]:
    """A plan as JSON."""
    from ..cloud.wording import as_json

    return {
        "environment": found.environment,
        "tool": found.tool,
        "changes": [_change_json(change) for change in found.changes],
        "keys": [slot.secret for slot in found.keys],
        "renewed": [slot.secret for slot in found.renewed],
        "outdated_secrets": list(found.outdated),
        "stack": as_json(found.stack),
        "open": [one.what for one in found.open],
    }


def _change_json(change: Change) -> dict[str, Any]:
    from ..paging.changes import describe

    return {
        "action": change.action.value,
        "kind": change.kind.value,
        "name": change.name,
        "differences": [line.strip() for line in describe(change)[1:]],
    }


def replayed_line(one: Replayed) -> str:
    """What became of one message."""
    return f"  {one.number} of {one.of}  {one.what}: {one.fate.value}" + (f", {one.reason}" if one.reason else "")


def remaining_lines(done: Replay, environment: str) -> Iterator[str]:
    """What a replay has done with a queue, and what is left."""
    if not done.delivered and not done.kept:
        yield "  nothing to deliver"
    else:
        yield f"  {done.delivered} delivered, {len(done.kept)} kept"
    if done.remaining.hidden:
        yield (
            f"  {count(done.remaining.hidden, 'message')} hidden by a replay that runs or was cut off; "
            f"back within 5 minutes: run `tocsin oncall replay {environment}` again"
        )


def replay_json(results: dict[str, Replay], told: list[Replayed]) -> dict[str, Any]:
    """A replay as JSON."""
    return {
        "messages": [{"what": one.what, "fate": one.fate.value, "reason": one.reason or None} for one in told],
        "queues": [
            {
                "queue": name,
                "delivered": done.delivered,
                "kept": len(done.kept),
                "waiting": done.remaining.waiting,
                "hidden": done.remaining.hidden,
            }
            for name, done in results.items()
        ],
    }
