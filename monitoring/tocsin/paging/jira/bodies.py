"""What Jira Service Management operations should hold, in the form that is compared and as its API takes it.

The form that is compared names other things; ``Ids`` turns names into the ids that the API wants, and back.  Fields and
values are those of https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/; ``tests/paging/jira_shapes.json``
holds them with their sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from ...errors import PagingError
from ...model import Severity
from ..alert import PRIORITIES
from ..declared import Heartbeat, Hours, OnCall, RecipientKind, Rotation, Route, Schedule, Team, Way
from ..hours import days_until_end, instant
from ..tool import Kind, Thing, heartbeat_name, integration_name

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: What an alert says, from the fields of CloudWatch's message: the routing rules look for the alarm's own words in the
#: description, and OK closes what has the alias of ALARM.
ALERT_TEXTS: Final = {
    "alias": "{{AlarmName}}",
    "message": "{{AlarmName}}",
    "description": "{{AlarmDescription}}\n\nReason: {{NewStateReason}}\nSince: {{StateChangeTime}}",
}
#: How often an escalation that repeats begins again; Opsgenie and its successor allow up to 20.
REPEATS = 20


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of what is named: teams, accounts (by address) and schedules by name, escalations by team and name."""

    teams: Mapping[str, str]
    accounts: Mapping[str, str]
    schedules: Mapping[str, str]
    escalations: Mapping[tuple[str, str], str]

    def id_of(self, kind: str, name: str, team: str = "") -> str:
        """The id; ``team`` is for an escalation.  Raises PagingError if there is no such thing."""
        for named, identifier in self._named(kind):
            if named == ((team, name) if kind == "escalation" else name):
                return identifier
        raise PagingError(f"Jira: there is no {kind} {name!r}; run `tocsin oncall plan` to see what is missing")

    def name_of(self, kind: str, identifier: str) -> str:
        """The name; the id in words for what nobody named."""
        for named, one in self._named(kind):
            if one == identifier:
                return named[1] if isinstance(named, tuple) else named
        return f"{kind} {identifier}".strip()

    def _named(self, kind: str) -> Iterable[tuple[str | tuple[str, str], str]]:
        tables: Mapping[str, Mapping[Any, str]] = {
            "team": self.teams,
            "user": self.accounts,
            "schedule": self.schedules,
            "escalation": self.escalations,
        }
        return tables.get(kind, {}).items()


def things(declared: OnCall, environment: str, mark: str, quiet: str) -> tuple[Thing, ...]:
    """Everything that should be there, in the order of creation.

    ``mark`` ends a description, ``quiet`` is what the description of an alert holds that is to notify nobody.
    """
    found: list[Thing] = []
    for team in declared.teams:
        found += [Thing(Kind.SCHEDULE, one.name, _schedule(team, one, mark)) for one in team.schedules]
        if team.escalation is not None:
            found.append(Thing(Kind.ESCALATION, team.escalation.name, _escalation(team, mark)))
        found += _routing_rules(declared.project, team, quiet)
        found += _integrations(declared.project, environment, team)
    if declared.heartbeat is not None:
        name = heartbeat_name(declared.project, environment)
        found.append(Thing(Kind.HEARTBEAT, name, _heartbeat(name, declared.heartbeat, mark)))
    order = list(Kind)
    return tuple(sorted(found, key=lambda thing: (order.index(thing.kind), thing.name)))


def integration_type(route: Route) -> str:
    """``CloudWatch`` takes SNS's own messages, ``API`` those of the forwarder."""
    return "API" if Way.FORWARDER in route.ways else "CloudWatch"


def reaches_tool(route: Route) -> bool:
    """Whether notifications of that route come to the tool at all."""
    return Way.TOOL in route.ways or Way.FORWARDER in route.ways


def _schedule(team: Team, schedule: Schedule, mark: str) -> dict[str, Any]:
    return {
        "team": team.name,
        "description": mark,
        "timezone": schedule.time_zone,
        "enabled": True,
        "rotations": sorted(
            (_rotation(one, schedule.time_zone) for one in schedule.rotations), key=lambda one: str(one["name"])
        ),
    }


def _rotation(rotation: Rotation, time_zone: str) -> dict[str, Any]:
    kind, length = turn(rotation.turn)
    return {
        "name": rotation.name,
        "type": kind,
        "length": length,
        "startDate": moment(rotation.starts, time_zone),
        "endDate": moment(rotation.ends, time_zone) if rotation.ends is not None else None,
        "participants": list(rotation.participants),
        "timeRestriction": restriction(rotation.hours),
    }


def turn(length: timedelta) -> tuple[str, int]:
    """A turn as the API says it: weekly, daily or hourly, and how many of them.  Raises PagingError for parts of hours."""
    for kind, unit in (("weekly", timedelta(weeks=1)), ("daily", timedelta(days=1)), ("hourly", timedelta(hours=1))):
        if length >= unit and length % unit == timedelta(0):
            return kind, length // unit
    raise PagingError(f"Jira: a turn of {length} cannot be had; state whole hours, days or weeks")


def moment(at: datetime, time_zone: str) -> str:
    """A wall-clock time of that zone as an instant in UTC."""
    return instant(at, ZoneInfo(time_zone)).strftime("%Y-%m-%dT%H:%M:%SZ")


def restriction(hours: Sequence[Hours]) -> dict[str, Any] | None:
    """On-call hours: one span of each day as it is, everything else day by day; round the clock is no restriction."""
    if not hours or any(one.start_day is None and one.start == one.end for one in hours):
        return None
    if len(hours) == 1 and hours[0].start_day is None:
        return {"type": "time-of-day", "restriction": _clock(hours[0].start, hours[0].end)}
    spans = [span for one in hours for span in _by_day(one)]
    return {"type": "weekday-and-time-of-day", "restrictions": sorted(spans, key=_span_order)}


def _clock(start: time, end: time) -> dict[str, Any]:
    return {"startHour": start.hour, "startMin": start.minute, "endHour": end.hour, "endMin": end.minute}


def _by_day(hours: Hours) -> list[dict[str, Any]]:
    clock, later = _clock(hours.start, hours.end), days_until_end(hours)
    first = range(7) if hours.start_day is None else (hours.start_day,)
    return [{"startDay": DAYS[day], "endDay": DAYS[(day + later) % 7], **clock} for day in first]


def _span_order(span: Mapping[str, Any]) -> tuple[int, int, int]:
    return DAYS.index(span["startDay"]), int(span["startHour"]), int(span["startMin"])


def _escalation(team: Team, mark: str) -> dict[str, Any]:
    assert team.escalation is not None
    again = team.escalation.repeat_after
    return {
        "team": team.name,
        "description": mark,
        "enabled": True,
        "rules": [
            {
                "condition": "if-not-acked",
                "notifyType": "all" if step.recipient.kind is RecipientKind.TEAM else "default",
                "delay": minutes(step.after),
                "recipient": {"type": step.recipient.kind.value, "name": step.recipient.name},
            }
            for step in team.escalation.steps
        ],
        "repeat": None
        if again is None
        else {
            "waitInterval": minutes(again),
            "count": REPEATS,
            "resetRecipientStates": True,
            "closeAlertAfterAll": False,
        },
    }


def minutes(length: timedelta) -> int:
    """Whole minutes.  Raises PagingError for parts of one."""
    if length % timedelta(minutes=1):
        raise PagingError(f"Jira: {length} cannot be had; state whole minutes")
    return length // timedelta(minutes=1)


def _routing_rules(project: str, team: Team, quiet: str) -> list[Thing]:
    """First what notifies nobody (drills, then tickets), then pages to the escalation; all others stay people's."""
    rules = [("drills", "match-all-conditions", [("description", quiet)], {"type": "none"})]
    lines = {severity: [("description", _line(severity, owner)) for owner in team.owners] for severity in Severity}
    if reaches_tool(team.routes.get(Severity.TICKET, Route(()))):
        rules.append(("tickets", "match-any-condition", lines[Severity.TICKET], {"type": "none"}))
    if team.escalation is not None and reaches_tool(team.routes.get(Severity.PAGE, Route(()))):
        silence = ("message", f"tocsin-{project}-")  # the dead-man's switch pages by the same way
        target = {"type": "escalation", "name": team.escalation.name}
        rules.append(("pages", "match-any-condition", [*lines[Severity.PAGE], silence], target))
    return [
        Thing(
            Kind.ROUTING_RULE,
            f"tocsin-{project} {team.name} {name}",
            {
                "team": team.name,
                "position": position,
                "criteria": {
                    "type": match,
                    "conditions": [
                        {"field": field, "operation": "contains", "expectedValue": value} for field, value in conditions
                    ],
                },
                "notify": target,
            },
        )
        for position, (name, match, conditions, target) in enumerate(rules)
    ]


def _line(severity: Severity, owner: str) -> str:
    """What the description of each alarm says of itself."""
    return f"Severity: {severity.value}. Owner: {owner}."


def _integrations(project: str, environment: str, team: Team) -> list[Thing]:
    return [
        Thing(
            Kind.INTEGRATION,
            integration_name(project, environment, owner, severity),
            {
                "team": team.name,
                "type": integration_type(route),
                "enabled": True,
                "priority": PRIORITIES[severity],
                # What the forwarder sends says all of this itself.
                **(
                    {"alerts": ALERT_TEXTS, "closes": ALERT_TEXTS["alias"]}
                    if integration_type(route) == "CloudWatch"
                    else {}
                ),
            },
        )
        for owner in team.owners
        for severity, route in team.routes.items()
        if reaches_tool(route)
    ]


def _heartbeat(name: str, heartbeat: Heartbeat, mark: str) -> dict[str, Any]:
    return {
        "team": heartbeat.team,
        "description": mark,
        "interval": max(1, minutes(heartbeat.silent_after)),
        "intervalUnit": "minutes",
        "enabled": True,
        "alertMessage": f"{name}: AWS has not been heard of; alarms may not arrive.",
        "alertPriority": "P1",
        "alertTags": ["tocsin"],
    }
