"""What PagerDuty should hold, in the form that is compared: teams, schedules, escalation policies and services.

Fields and limits are those of the REST API v2 (https://developer.pagerduty.com/api-reference) and of PagerDuty's own
Terraform provider, where it knows more: a layer's virtual start is sent in UTC, a daily restriction is shorter than a day,
and a layer can be ended but never removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from ...errors import PagingError
from ...model import Severity
from ..changes import mark, marked
from ..declared import Escalation, Hours, OnCall, RecipientKind, Rotation, Route, Schedule, Team, Way
from ..hours import days_until_end, instant
from ..tool import Kind, Thing, integration_name

#: How often an escalation policy that repeats begins again; more is not taken.
MOST_LOOPS = 9
#: The last rule's time, which nothing follows.
LAST_DELAY = 30
URGENCIES = {Severity.PAGE: "high", Severity.TICKET: "low"}
_DAY = 24 * 3600


def things(declared: OnCall, environment: str) -> tuple[Thing, ...]:
    """Everything that should be there, in the order of creation."""
    found: list[Thing] = []
    for team in declared.teams:
        found.append(Thing(Kind.TEAM, team.name, team_body(team, declared.project)))
        found += [
            Thing(Kind.SCHEDULE, one.name, _schedule(team, one, mark(declared.project))) for one in team.schedules
        ]
        if team.escalation is not None:
            found.append(
                Thing(Kind.ESCALATION, team.escalation.name, _escalation(team, team.escalation, mark(declared.project)))
            )
        found += _services(declared.project, environment, team)
    order = list(Kind)
    return tuple(sorted(found, key=lambda thing: (order.index(thing.kind), thing.name)))


def refuse_impossible(declared: OnCall) -> None:
    """Raise PagingError for what PagerDuty has no form for."""
    for team in declared.teams:
        where = f"{declared.path}: teams.{team.name}"
        if team.escalation is None:
            if any(reaches_tool(route) for route in team.routes.values()):
                raise PagingError(f"{where}: a PagerDuty service needs an escalation policy; declare an escalation")
            continue
        steps = sorted(team.escalation.steps, key=lambda step: step.after)
        if any(step.recipient.kind is RecipientKind.TEAM for step in steps):
            raise PagingError(
                f"{where}.escalation: a PagerDuty escalation policy tells users and schedules, not teams;"
                " name a schedule or the team's users"
            )
        if steps and steps[0].after:
            raise PagingError(
                f"{where}.escalation: PagerDuty tells the first step at once; begin with one that is after 0 minutes"
            )


def reaches_tool(route: Route) -> bool:
    """Whether notifications of that route come to the tool at all."""
    return Way.TOOL in route.ways or Way.FORWARDER in route.ways


def integration_type(route: Route) -> str:
    """The kind of integration for SNS's own messages, or for those of the forwarder."""
    forwarded = Way.FORWARDER in route.ways
    return "events_api_v2_inbound_integration" if forwarded else "aws_cloudwatch_inbound_integration"


def team_body(team: Team, project: str) -> dict[str, Any]:
    """A team: members by address, each with the role in it."""
    return {
        "description": marked(team.description, project),
        "members": {member.user: "manager" if member.admin else "responder" for member in team.members},
    }


def _schedule(team: Team, schedule: Schedule, text: str) -> dict[str, Any]:
    layers = [layer_body(rotation, schedule.time_zone) for rotation in schedule.rotations]
    return {
        "team": team.name,
        "description": text,
        "time_zone": schedule.time_zone,
        "layers": sorted(layers, key=lambda one: str(one["name"])),
    }


def layer_body(rotation: Rotation, time_zone: str) -> dict[str, Any]:
    """A rotation as a layer."""
    seconds = rotation.turn // timedelta(seconds=1)
    if not 3600 <= seconds <= 365 * _DAY:
        raise PagingError(f"PagerDuty: a turn of {rotation.turn} cannot be had; state an hour to 365 days")
    return {
        "name": rotation.name,
        "starts": moment(rotation.starts, time_zone),
        "ends": moment(rotation.ends, time_zone) if rotation.ends is not None else None,
        "turn_seconds": seconds,
        "users": list(rotation.participants),
        "restrictions": restrictions(rotation.hours),
    }


def moment(at: datetime, time_zone: str) -> str:
    """A wall-clock time of that zone as an instant in UTC."""
    return instant(at, ZoneInfo(time_zone)).strftime("%Y-%m-%dT%H:%M:%SZ")


def restrictions(hours: Sequence[Hours]) -> list[dict[str, Any]]:
    """On-call hours; those of a layer are all of each day, or all of the week."""
    if any(_seconds(one) >= (_DAY if one.start_day is None else 7 * _DAY) for one in hours):
        return []
    if all(one.start_day is None for one in hours):
        found = [{"type": "daily_restriction", **_clock(one)} for one in hours]
    else:
        found = [
            {"type": "weekly_restriction", "start_day_of_week": day + 1, **_clock(one)}
            for one in hours
            for day in (range(7) if one.start_day is None else (one.start_day,))
        ]
    return sorted(found, key=restriction_order)


def restriction_order(one: dict[str, Any]) -> tuple[int, str]:
    """By day and time."""
    return int(one.get("start_day_of_week") or 0), str(one["start_time_of_day"])


def _clock(hours: Hours) -> dict[str, Any]:
    return {"start_time_of_day": hours.start.strftime("%H:%M:%S"), "duration_seconds": _seconds(hours)}


def _seconds(hours: Hours) -> int:
    """How long a span is by the clock on the wall."""
    clock = [one.hour * 3600 + one.minute * 60 + one.second for one in (hours.start, hours.end)]
    return days_until_end(hours) * _DAY + clock[1] - clock[0]


def _escalation(team: Team, escalation: Escalation, text: str) -> dict[str, Any]:
    moments = sorted({step.after for step in escalation.steps})
    again = escalation.repeat_after
    last = LAST_DELAY if again is None else max(1, again // timedelta(minutes=1))
    waits = [(later - earlier) // timedelta(minutes=1) for earlier, later in pairwise(moments)]
    return {
        "team": team.name,
        "description": text,
        "loops": 0 if again is None else MOST_LOOPS,
        "rules": [
            {
                "delay": wait,
                "targets": sorted(
                    (
                        {"type": step.recipient.kind.value, "name": step.recipient.name}
                        for step in escalation.steps
                        if step.after == after
                    ),
                    key=lambda one: (one["type"], one["name"]),
                ),
            }
            for after, wait in zip(moments, [*waits, last], strict=True)
        ],
    }


def _services(project: str, environment: str, team: Team) -> list[Thing]:
    if team.escalation is None:
        return []
    return [
        Thing(
            Kind.INTEGRATION,
            integration_name(project, environment, owner, severity),
            {
                "description": mark(project),
                "enabled": True,
                "escalation": team.escalation.name,
                "urgency": URGENCIES[severity],
                "integration": integration_type(route),
            },
        )
        for owner in team.owners
        for severity, route in team.routes.items()
        if reaches_tool(route)
    ]
