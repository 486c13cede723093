"""Reads what is in an Opsgenie account, in the words of ``opsgenie_bodies``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ...errors import PagingError
from ..changes import is_marked
from ..declared import OnCall
from ..rest import Rest, RestError
from ..tool import Found, Kind, Thing, heartbeat_name
from .bodies import API, OWNED_BY, closing_mark, closing_prefix, owner_mark, ping_name, rule_prefix
from .rotations import restriction_there, rotation_there

#: What an integration's way of opening alerts is compared by; the filter is Opsgenie's own for the kind of integration.
ALERT_FIELDS = ("alias", "message", "description", "entity", "source", "user", "note", "priority")


class OpsgenieAccount:
    """One reading of an account: lists are asked for once.  All raise PagingError."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    @cached_property
    def teams(self) -> Sequence[Mapping[str, Any]]:
        """All teams, without members."""
        return self._list("/v2/teams")

    @cached_property
    def schedules(self) -> Sequence[Mapping[str, Any]]:
        """All schedules with their rotations."""
        return self._list("/v2/schedules", {"expand": "rotation"})

    @cached_property
    def escalations(self) -> Sequence[Mapping[str, Any]]:
        """All escalations."""
        return self._list("/v2/escalations")

    @cached_property
    def integrations(self) -> Sequence[Mapping[str, Any]]:
        """All integrations, by name and type only."""
        return self._list("/v2/integrations")

    def user(self, address: str) -> Mapping[str, Any] | None:
        """A user by e-mail address; None for an unknown one."""
        return self._get(f"/v2/users/{quote(address, safe='')}")

    def rules(self, team: str) -> Sequence[Mapping[str, Any]]:
        """The routing rules of the team of that id, in their order."""
        found = self._list(f"/v2/teams/{quote(team, safe='')}/routing-rules")
        return sorted(found, key=lambda rule: int(rule.get("order") or 0))

    def heartbeat(self, name: str) -> Mapping[str, Any] | None:
        """The heartbeat of that name.  Not by opsgenie-sdk, whose type leaves out team and priority."""
        return self._get(f"/v2/heartbeats/{quote(name, safe='')}")

    def integration(self, identifier: str) -> Mapping[str, Any] | None:
        """The whole of an integration."""
        return self._get(f"/v2/integrations/{quote(identifier, safe='')}")

    def actions(self, identifier: str) -> Mapping[str, Any]:
        """What an integration does with what comes in: lists of ``create``, ``close`` …"""
        return self._get(f"/v2/integrations/{quote(identifier, safe='')}/actions") or {}

    def find(self, wanted: Sequence[Thing], declared: OnCall, environment: str) -> Iterator[Found]:
        """Everything that is this project's, for this environment or for all, and everything whose name is wanted."""
        names = {(thing.kind, thing.name) for thing in wanted}
        project = declared.project
        for team in self.teams:
            owned = is_marked(team.get("description"), project)
            if not owned and (Kind.TEAM, team["name"]) not in names:
                continue
            whole = self._get(f"/v2/teams/{quote(team['id'], safe='')}")
            if whole is None:
                continue
            yield Found(Kind.TEAM, team["name"], _team(whole), team["id"], owned)
            for rule in self.rules(team["id"]):
                if (name := rule.get("name") or "").startswith(rule_prefix(project)):
                    yield Found(Kind.ROUTING_RULE, name, self._rule(rule, team["name"]), rule["id"], True)
        for kind, things, body in (
            (Kind.SCHEDULE, self.schedules, self._schedule),
            (Kind.ESCALATION, self.escalations, self._escalation),
        ):
            for one in things:
                owned = is_marked(one.get("description"), project)
                if owned or (kind, one["name"]) in names:
                    yield Found(kind, one["name"], body(one), one["id"], owned)
        yield from self._find_integrations(names, declared, environment)
        name = heartbeat_name(project, environment)
        if (heartbeat := self.heartbeat(name)) is not None:
            yield Found(
                Kind.HEARTBEAT, name, self._heartbeat(heartbeat), name, is_marked(heartbeat.get("description"), project)
            )

    def _find_integrations(self, names: set[tuple[Kind, str]], declared: OnCall, environment: str) -> Iterator[Found]:
        ours, closing = owner_mark(declared, environment), closing_mark(declared.project)
        begins = (f"{heartbeat_name(declared.project, environment)}-", closing_prefix(declared.project))
        for meta in self.integrations:
            name = meta["name"]
            if not name.startswith(begins):
                continue
            whole = self.integration(meta["id"])
            if whole is None:
                continue
            actions = {} if whole["type"] == API else self.actions(meta["id"])
            whose = _whose(whole, actions)
            wanted = (Kind.INTEGRATION, name) in names
            # Of a name that begins like ours, only what says so itself is ours: it may be another environment's.  One
            # that says nothing was cut off in the making, and is ours if its name is.
            owned = whose in (ours, closing) or (
                whose is None and (wanted or name == ping_name(declared.project, environment))
            )
            if owned or wanted:
                body = self._integration(whole, actions, whose or ours)
                yield Found(Kind.INTEGRATION, name, body, meta["id"], owned)

    def kept_by(self, team: Mapping[str, Any], project: str) -> tuple[str, ...]:
        """What people made within a team and would lose with it.

        Opsgenie makes a schedule, an escalation and a default rule with each team; those go with it.
        """
        made_with_it = {f"{team['name']}_schedule", f"{team['name']}_escalation"}
        kept = [
            f"{kind} {one['name']!r}"
            for kind, things in (("schedule", self.schedules), ("escalation", self.escalations))
            for one in things
            if (one.get("ownerTeam") or {}).get("id") == team["id"]
            and not is_marked(one.get("description"), project)
            and one["name"] not in made_with_it
        ]
        kept += [
            f"routing rule {rule.get('name')!r}"
            for rule in self.rules(team["id"])
            if not rule.get("isDefault") and not (rule.get("name") or "").startswith(rule_prefix(project))
        ]
        kept += [
            f"integration {one['name']!r}"
            for one in self.integrations_of(team["id"])
            if not one["name"].startswith(f"tocsin-{project}-")
        ]
        return tuple(kept)

    def integrations_of(self, team: str) -> Sequence[Mapping[str, Any]]:
        """The integrations of the team of that id."""
        return self._list("/v2/integrations", {"teamId": team})

    # Opsgenie's bodies in our words

    def _schedule(self, schedule: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "description": schedule.get("description") or "",
            "team": self._team_name(schedule),
            "timezone": schedule.get("timezone") or "",
            "enabled": schedule.get("enabled", True),
            "rotations": [rotation_there(one, self._recipient) for one in schedule.get("rotations") or ()],
        }

    def _escalation(self, escalation: Mapping[str, Any]) -> dict[str, Any]:
        repeat = escalation.get("repeat") or {}
        return {
            "description": escalation.get("description") or "",
            "team": self._team_name(escalation),
            "rules": [
                {
                    "delay": _minutes(rule.get("delay") or {}),
                    "condition": rule.get("condition"),
                    "notifyType": rule.get("notifyType"),
                    "recipient": self._recipient(rule.get("recipient") or {}),
                }
                for rule in escalation.get("rules") or ()
            ],
            "repeat": {"waitInterval": repeat["waitInterval"], "count": repeat.get("count")}
            if repeat.get("waitInterval")
            else None,
        }

    def _rule(self, rule: Mapping[str, Any], team: str) -> dict[str, Any]:
        criteria = rule.get("criteria") or {"type": "match-all"}
        conditions = sorted(criteria.get("conditions") or (), key=lambda one: int(one.get("order") or 0))
        return {
            "team": team,
            "order": rule.get("order") or 0,
            "criteria": {
                "type": criteria["type"],
                "conditions": [
                    {
                        "field": one["field"],
                        "operation": one["operation"],
                        "expectedValue": one.get("expectedValue") or "",
                        "not": bool(one.get("not")),
                        **({"key": one["key"]} if one.get("key") else {}),
                    }
                    for one in conditions
                ],
            },
            "timeRestriction": restriction_there(rule.get("timeRestriction")),
            "notify": self._recipient(rule.get("notify") or {}),
        }

    def _integration(self, integration: Mapping[str, Any], actions: Mapping[str, Any], whose: str) -> dict[str, Any]:
        body = {
            "type": integration["type"],
            "team": self._team_name(integration),
            "enabled": bool(integration.get("enabled")),
            "for": whose,
        }
        if integration["type"] == API:
            return body
        creates, closes = actions.get("create") or [], actions.get("close") or []
        if len(creates) != 1 or len(closes) != 1:
            return {
                **body,
                "alerts": [one.get("name") for one in creates],
                "closes": [one.get("name") for one in closes],
            }
        alerts = {name: creates[0].get(name) or "" for name in ALERT_FIELDS}
        return {
            **body,
            "alerts": {
                **alerts,
                "tags": sorted(creates[0].get("tags") or ()),
                "extraProperties": dict(creates[0].get("extraProperties") or {}),
            },
            "closes": closes[0].get("alias") or "",
        }

    def _heartbeat(self, heartbeat: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "description": heartbeat.get("description") or "",
            "interval": heartbeat.get("interval"),
            "intervalUnit": heartbeat.get("intervalUnit"),
            "enabled": bool(heartbeat.get("enabled")),
            "team": self._team_name(heartbeat),
            "alertPriority": heartbeat.get("alertPriority"),
            "alertMessage": heartbeat.get("alertMessage"),
            "alertTags": sorted(heartbeat.get("alertTags") or ()),
        }

    def _team_name(self, thing: Mapping[str, Any]) -> str | None:
        team = thing.get("ownerTeam") or {}
        return team.get("name") or _name_of(self.teams, team.get("id"))

    def _recipient(self, recipient: Mapping[str, Any]) -> str:
        """``schedule engagement-primary``; by its id where Opsgenie tells nothing else."""
        kind = str(recipient.get("type") or "none")
        name = recipient.get("username", "").lower() if kind == "user" else recipient.get("name")
        if not name and (identifier := recipient.get("id")):
            lists = {"team": "teams", "schedule": "schedules", "escalation": "escalations"}
            name = _name_of(getattr(self, lists[kind]), identifier) if kind in lists else None
            name = name or identifier
        return f"{kind} {name}" if name else kind

    def _list(self, path: str, query: Mapping[str, str] | None = None) -> Sequence[Mapping[str, Any]]:
        found = self._data(path, query)
        if not isinstance(found, list):
            raise PagingError(f"Opsgenie: GET {path}: answers no list: is this Opsgenie's address?")
        fields = ("id",) if path.endswith("/routing-rules") else ("id", "name")
        if not all(isinstance(one, dict) and all(one.get(field) for field in fields) for one in found):
            raise PagingError(
                f"Opsgenie: GET {path}: something in the answer has no {' and '.join(fields)}: is this Opsgenie's address?"
            )
        return found

    def _get(self, path: str) -> Mapping[str, Any] | None:
        try:
            found = self._data(path, None)
        except RestError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        if not isinstance(found, dict):
            raise PagingError(f"Opsgenie: GET {path}: answers no object: is this Opsgenie's address?")
        return found

    def _data(self, path: str, query: Mapping[str, str] | None) -> Any:
        answer = self._rest.get(path, query=query)
        if not isinstance(answer, dict) or "data" not in answer:
            raise PagingError(f"Opsgenie: GET {path}: the answer holds no data: is this Opsgenie's address?")
        return answer["data"]


def _whose(integration: Mapping[str, Any], actions: Mapping[str, Any]) -> str | None:
    """Whose an integration says it is: in its own properties, or in those of the alerts it opens."""
    for one in (integration, *(actions.get("create") or ())):
        if whose := (one.get("extraProperties") or {}).get(OWNED_BY):
            return str(whose)
    return None


def _team(team: Mapping[str, Any]) -> dict[str, Any]:
    members = (
        {"user": one["user"]["username"].lower(), "role": str(one.get("role") or "user").lower()}
        for one in team.get("members") or ()
    )
    return {"description": team.get("description") or "", "members": sorted(members, key=lambda one: one["user"])}


_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def _minutes(delay: Mapping[str, Any]) -> Any:
    amount, unit = delay.get("timeAmount") or 0, delay.get("timeUnit") or "minutes"
    seconds = amount * _SECONDS.get(unit, 0)
    # What is no whole number of minutes is shown as it is, and differs from all that can be declared.
    return seconds // 60 if not seconds % 60 and unit in _SECONDS else f"{amount} {unit}"


def _name_of(things: Sequence[Mapping[str, Any]], identifier: str | None) -> str | None:
    return next((str(one["name"]) for one in things if identifier and one.get("id") == identifier), None)
