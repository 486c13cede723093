"""What is declared as Opsgenie says it: the things that should be there, and the bodies that make them.

A thing's body here is what two readings compare: names for ids, one spelling of each value.
Opsgenie's own shapes: https://github.com/opsgenie/opsgenie-oas (swagger.json), https://docs.opsgenie.com.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from ...errors import PagingError
from ...model import Severity
from ..changes import mark, marked
from ..declared import Escalation, OnCall, Recipient, RecipientKind, Route, Schedule, Team, Way
from ..drill_marks import SILENT_DRILL
from ..tool import Kind, Thing, heartbeat_name, integration_name
from .rotations import rotation_wanted

PRIORITIES: Final = {Severity.PAGE: "P1", Severity.TICKET: "P3"}
CLOUDWATCH: Final = "CloudWatch"
API: Final = "API"
#: The property of an integration, and of each alert that comes through it, that says whose it is.
OWNED_BY: Final = "tocsin"
#: How often Opsgenie repeats an escalation at most (https://docs.opsgenie.com/docs/escalation-api).
_MOST_REPEATS: Final = 20
#: The fields of CloudWatch's message, which Opsgenie fills in from the notification.
_ALERT_TEXTS: Final = {
    "alias": "{{AlarmName}}",
    "message": "{{AlarmName}}",
    "description": "{{AlarmDescription}}\n\nReason: {{NewStateReason}}\nSince: {{StateChangeTime}}",
    "entity": "{{AlarmName}}",
    "source": "CloudWatch",
    "user": "CloudWatch",
    "note": "{{NewStateReason}}",
}


def things(declared: OnCall, environment: str) -> Iterator[Thing]:
    """Everything that should be there.  Raises PagingError for what Opsgenie cannot hold."""
    for team in declared.teams:
        yield Thing(Kind.TEAM, team.name, _team(declared, team))
        for schedule in team.schedules:
            yield Thing(Kind.SCHEDULE, schedule.name, _schedule(declared, team, schedule))
        if team.escalation is not None:
            yield Thing(Kind.ESCALATION, team.escalation.name, _escalation(declared, team, team.escalation))
        yield from _routing_rules(declared, team)
        for owner in team.owners:
            for severity, route in sorted(team.routes.items()):
                if reaches_tool(route):
                    name = integration_name(declared.project, environment, owner, severity)
                    yield Thing(
                        Kind.INTEGRATION, name, _integration(declared, environment, team, owner, severity, route)
                    )
    if declared.heartbeat is not None:
        yield Thing(
            Kind.INTEGRATION,
            ping_name(declared.project, environment),
            {"type": API, "team": declared.heartbeat.team, "enabled": True, "for": owner_mark(declared, environment)},
        )
        yield Thing(Kind.HEARTBEAT, heartbeat_name(declared.project, environment), _heartbeat(declared, environment))


def reaches_tool(route: Route) -> bool:
    """Whether notifications of that route come to the tool at all."""
    return Way.TOOL in route.ways or Way.FORWARDER in route.ways


def integration_type(route: Route) -> str:
    """``CloudWatch`` takes what SNS posts, ``API`` what the forwarder makes of it."""
    return API if Way.FORWARDER in route.ways else CLOUDWATCH


def ping_name(project: str, environment: str) -> str:
    """The integration whose key the dead-man's switch pings with."""
    return f"{heartbeat_name(project, environment)}-heartbeat"


def closing_prefix(project: str) -> str:
    """What the names of the integrations begin with that are made to close an alert, and go again."""
    return f"tocsin-{project}-closing-"


def closing_mark(project: str) -> str:
    """Whose such an integration is: no environment's, so that the next run clears one away that was left behind."""
    return f"{project}/closing"


def rule_prefix(project: str) -> str:
    """What the names of this project's routing rules begin with."""
    return f"tocsin-{project} "


def owner_mark(declared: OnCall, environment: str) -> str:
    """Whose an integration is: its name alone would not tell ``prod-eu`` from the ``eu`` of another project."""
    return f"{declared.project}/{environment}"


# Teams, schedules, escalations


def _team(declared: OnCall, team: Team) -> dict[str, Any]:
    return {
        "description": marked(team.description, declared.project),
        "members": sorted(
            ({"user": one.user.lower(), "role": "admin" if one.admin else "user"} for one in team.members),
            key=lambda one: one["user"],
        ),
    }


def _schedule(declared: OnCall, team: Team, schedule: Schedule) -> dict[str, Any]:
    return {
        "description": mark(declared.project),
        "team": team.name,
        "timezone": schedule.time_zone,
        "enabled": True,
        "rotations": [rotation_wanted(declared, schedule, one) for one in schedule.rotations],
    }


def _escalation(declared: OnCall, team: Team, escalation: Escalation) -> dict[str, Any]:
    where = f"{declared.path}: escalation {escalation.name!r}"
    again = None if escalation.repeat_after is None else _minutes(escalation.repeat_after, where)
    return {
        "description": mark(declared.project),
        "team": team.name,
        "rules": [
            {
                "delay": _minutes(step.after, where),
                "condition": "if-not-acked",
                "notifyType": "default",
                "recipient": recipient_text(step.recipient),
            }
            for step in escalation.steps
        ],
        "repeat": {"waitInterval": again, "count": _MOST_REPEATS} if again else None,
    }


def _minutes(span: timedelta, where: str) -> int:
    if span % timedelta(minutes=1):
        raise PagingError(f"{where}: {span}: Opsgenie counts in whole minutes")
    return span // timedelta(minutes=1)


def recipient_text(recipient: Recipient) -> str:
    """``schedule engagement-primary``: whom a step tells, as bodies here write it."""
    name = recipient.name.lower() if recipient.kind is RecipientKind.USER else recipient.name
    return f"{recipient.kind.value} {name}"


# Routing rules, integrations, heartbeats


def _routing_rules(declared: OnCall, team: Team) -> Iterator[Thing]:
    """Drills to nobody, then pages, then tickets; what is not ours falls through to the rules that people made.

    The number in a name is the place: things of a kind are made in the order of their names, and a rule that is made
    later is put in its place below those before it.
    """
    if not any(reaches_tool(route) for route in team.routes.values()):
        return
    ours = ("tags", "contains", f"tocsin-{declared.project}")
    rules = [("drills", [("description", "contains", SILENT_DRILL)], "none")]
    # The heartbeat's alert is a page as well, whatever ways the team's alarms take.
    if (told := _told_of_pages(team)) is not None:
        rules.append(("pages", [("priority", "equals", PRIORITIES[Severity.PAGE]), ours], told))
    rules.append(("tickets", [("priority", "equals", PRIORITIES[Severity.TICKET]), ours], "none"))
    for order, (what, conditions, notify) in enumerate(rules):
        yield Thing(
            Kind.ROUTING_RULE,
            f"{rule_prefix(declared.project)}{team.name} {order} {what}",
            {
                "team": team.name,
                "order": order,
                "criteria": {
                    "type": "match-all-conditions",
                    "conditions": [
                        {"field": field, "operation": operation, "expectedValue": value, "not": False}
                        for field, operation, value in conditions
                    ],
                },
                "timeRestriction": None,
                "notify": notify,
            },
        )


def _told_of_pages(team: Team) -> str | None:
    if team.escalation is not None:
        return f"escalation {team.escalation.name}"
    # None: the team's own default rule decides.
    return f"schedule {team.schedules[0].name}" if team.schedules else None


def _integration(
    declared: OnCall, environment: str, team: Team, owner: str, severity: Severity, route: Route
) -> dict[str, Any]:
    body = {
        "type": integration_type(route),
        "team": team.name,
        "enabled": True,
        "for": owner_mark(declared, environment),
    }
    if body["type"] == API:
        return body  # what the forwarder sends says all of the rest itself
    return {
        **body,
        "alerts": {
            **_ALERT_TEXTS,
            "priority": PRIORITIES[severity],
            "tags": alert_tags(declared, environment, owner, severity),
            "extraProperties": {
                "environment": environment,
                "owner": owner,
                "severity": severity.value,
                OWNED_BY: owner_mark(declared, environment),
            },
        },
        "closes": _ALERT_TEXTS["alias"],
    }


def alert_tags(declared: OnCall, environment: str, owner: str, severity: Severity) -> list[str]:
    """What an alert can be searched for by; the routing rules know ours by the first."""
    return sorted({f"tocsin-{declared.project}", environment, owner, severity.value})


def _heartbeat(declared: OnCall, environment: str) -> dict[str, Any]:
    heartbeat = declared.heartbeat
    if heartbeat is None:
        raise AssertionError("asked for only where one is declared")
    interval = _minutes(heartbeat.silent_after, f"{declared.path}: heartbeat.silent_after")
    return {
        "description": marked(
            "Whether AWS can still reach the on-call tool: it pings this each"
            f" {_minutes(heartbeat.every, f'{declared.path}: heartbeat.every')} min.",
            declared.project,
        ),
        "interval": interval,
        "intervalUnit": "minutes",
        "enabled": True,
        "team": heartbeat.team,
        "alertPriority": PRIORITIES[Severity.PAGE],
        "alertMessage": f"AWS has not been heard of for {interval} min: pages of {environment} may not arrive"[:130],
        "alertTags": alert_tags(declared, environment, "dead-man-switch", Severity.PAGE),
    }


# The other way: bodies as Opsgenie takes them


def recipient_body(text: str) -> dict[str, str]:
    """``user somebody@example.com`` as Opsgenie's recipient."""
    kind, _, name = text.partition(" ")
    return {"type": kind, **({"username" if kind == "user" else "name": name} if name else {})}


def to_opsgenie(thing: Thing) -> dict[str, Any]:
    """The body that makes a thing, or brings it to what is wanted; not for integrations, which are made in steps."""
    body = dict(thing.body)
    if thing.kind is Kind.TEAM:
        members = [{"user": {"username": one["user"]}, "role": one["role"]} for one in body["members"]]
        return {"name": thing.name, "description": body["description"], "members": members}
    team = {"ownerTeam": {"name": body.pop("team")}}
    if thing.kind is Kind.SCHEDULE:
        rotations = [
            {
                **{name: value for name, value in one.items() if value is not None},
                "participants": [recipient_body(text) for text in one["participants"]],
            }
            for one in body["rotations"]
        ]
        return {"name": thing.name, **body, "rotations": rotations, **team}
    if thing.kind is Kind.ESCALATION:
        rules = [
            {
                **one,
                "delay": {"timeAmount": one["delay"], "timeUnit": "minutes"},
                "recipient": recipient_body(one["recipient"]),
            }
            for one in body["rules"]
        ]
        # Acknowledged is acknowledged: the states of those who were told are not reset by a repetition.
        repeat = {"resetRecipientStates": False, "closeAlertAfterAll": False, **(body["repeat"] or _NO_REPEAT)}
        return {"name": thing.name, "description": body["description"], "rules": rules, "repeat": repeat, **team}
    if thing.kind is Kind.ROUTING_RULE:
        conditions = [{**one, "order": place} for place, one in enumerate(body["criteria"]["conditions"])]
        return {
            "name": thing.name,
            "criteria": {**body["criteria"], "conditions": conditions},
            "notify": recipient_body(body["notify"]),
        }
    return {"name": thing.name, **body, **team}


_NO_REPEAT: Final = {"waitInterval": 0, "count": 1}
