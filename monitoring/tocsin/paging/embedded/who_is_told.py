"""Whom an alert would wake: responders, routing rules, escalations and schedules followed to people.

Nobody is told, of course; what is found out stands with the alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from .alert_book import AlertRecord
from .conditions import fits, values_of
from .on_call_now import in_hours, participants_at
from .state import State

Told = list[tuple[int, str]]
"""Who is told after how many minutes."""

_UNITS = {"minutes": 1, "hours": 60, "days": 24 * 60, "seconds": 0}
_DEEPEST = 5  # an escalation may name a team whose rule names that escalation


def settle(state: State, record: AlertRecord, integration: Mapping[str, Any] | None = None) -> None:
    """Write down whom a new alert tells at once and whom later."""
    if integration is not None and not record.responders:
        owner = integration.get("ownerTeam")
        chosen = integration.get("responders") or integration.get("recipients") or []
        record.responders = [dict(one) for one in chosen] or ([{"type": "team", **owner}] if owner else [])
    record.responders = [_with_id(state, one) for one in record.responders]
    told: Told = []
    if not (integration or {}).get("suppressNotifications"):
        for responder in record.responders:
            told += _follow(state, record, responder, _DEEPEST)
    at_once = dict.fromkeys(user for minutes, user in told if minutes == 0)
    later: dict[int, dict[str, None]] = {}
    for minutes, user in sorted(told, key=lambda one: one[0]):
        if minutes:
            later.setdefault(minutes, {})[user] = None
    record.notified = tuple(at_once)
    record.escalates_to = tuple((minutes, tuple(users)) for minutes, users in later.items())


def people_on_call(state: State, schedule: Mapping[str, Any], at: datetime, turns_ahead: int = 0) -> list[str]:
    """The users on call at a moment."""
    people: list[str] = []
    for participant in participants_at(schedule, at, turns_ahead):
        people += _people(state, participant, at)
    return list(dict.fromkeys(people))


def _follow(state: State, record: AlertRecord, recipient: Mapping[str, Any], depth: int) -> Told:
    if depth == 0:
        return []
    now, kind = state.clock(), recipient["type"]
    if kind == "team":
        return _through_rules(state, record, recipient, depth)
    if kind == "escalation":
        told: Told = []
        for rule in (_thing(state, recipient) or {}).get("rules", []):
            delay = rule["delay"]
            minutes = int(delay["timeAmount"]) * _UNITS.get(delay.get("timeUnit", "minutes"), 0)
            told += [(minutes, user) for user in _step(state, rule, now)]
        return told
    return [(0, user) for user in _people(state, recipient, now)]


def _through_rules(state: State, record: AlertRecord, recipient: Mapping[str, Any], depth: int) -> Told:
    team = _thing(state, recipient)
    if team is None:
        return []

    def team_name(identifier: str) -> str:
        return str((state.teams.get(identifier) or {}).get("name", ""))

    values = values_of(record, team_name)
    for rule in rules_of(state, team):
        zone = ZoneInfo(rule.get("timezone") or "UTC")
        if fits(rule.get("criteria"), values) and in_hours(rule.get("timeRestriction"), state.clock(), zone):
            notify = rule["notify"]
            if notify["type"] == "all":
                return [(0, user) for user in _members(state, team)]
            return _follow(state, record, notify, depth - 1)
    return []


def rules_of(state: State, team: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A team's routing rules in the order in which they are tried; the default one comes last."""
    rules = [rule for rule in state.routing_rules if rule["teamId"] == team["id"]]
    return sorted(rules, key=lambda rule: (rule["isDefault"], rule["order"]))


def _step(state: State, rule: Mapping[str, Any], at: datetime) -> list[str]:
    recipient, kind = rule["recipient"], rule.get("notifyType", "default")
    if recipient["type"] == "team":
        roles = {"admins": ("admin",), "users": ("user",)}.get(kind, ("admin", "user"))
        team = _thing(state, recipient)
        return _members(state, team, roles) if team else []
    if recipient["type"] == "schedule" and kind in ("next", "previous"):
        schedule = _thing(state, recipient)
        return people_on_call(state, schedule, at, 1 if kind == "next" else -1) if schedule else []
    if recipient["type"] == "schedule" and kind in ("all", "users", "admins"):
        everybody = [
            one
            for rotation in (_thing(state, recipient) or {}).get("rotations", [])
            for one in rotation["participants"]
        ]
        return list(dict.fromkeys(user for one in everybody for user in _people(state, one, at)))
    return _people(state, recipient, at)


def _people(state: State, recipient: Mapping[str, Any], at: datetime) -> list[str]:
    kind, thing = recipient["type"], _thing(state, recipient)
    if thing is None:
        return []
    if kind == "user":
        return [str(thing["username"])]
    if kind == "team":
        return _members(state, thing)
    if kind == "schedule":
        return people_on_call(state, thing, at)
    first = [rule for rule in thing["rules"] if int(rule["delay"]["timeAmount"]) == 0]
    return [user for rule in first if rule["recipient"]["type"] != "escalation" for user in _step(state, rule, at)]


def _members(state: State, team: Mapping[str, Any], roles: Iterable[str] = ("admin", "user")) -> list[str]:
    users = [state.users.get(one["user"]["id"]) for one in team.get("members", []) if one.get("role", "user") in roles]
    return [str(user["username"]) for user in users if user]


def _thing(state: State, recipient: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = recipient["type"]
    if kind not in ("user", "team", "schedule", "escalation"):
        return None
    table = state.table({"user": "users", "team": "teams", "schedule": "schedules"}.get(kind, "escalations"))
    if identifier := recipient.get("id"):
        return table.get(identifier)
    key = "username" if kind == "user" else "name"
    return table.named(recipient.get(key, ""), key)


def _with_id(state: State, recipient: Mapping[str, Any]) -> dict[str, Any]:
    """As alerts tell their responders: by id, and the name too where there is one."""
    thing = _thing(state, recipient)
    return {**recipient, "id": thing["id"]} if thing else dict(recipient)
