"""Jira's schedules, rotations, escalations and routing rules, kept as Opsgenie's so that they are followed alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..routing_table import Response, Route
from ..shapes import (
    ALERT_FILTER,
    TIME_RESTRICTION,
    by_type,
    flag,
    list_of,
    moment,
    one_of,
    shape,
    text,
    whole,
)
from ..who_is_told import rules_of
from .answers import Answerer, Call, guarded, owner_team, refused

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_ID = text(empty=False)
_SCHEDULE_FIELDS = {
    "name": text(100, empty=False),
    "description": text(10_000),
    "timezone": text(),
    "enabled": flag,
    "teamId": _ID,
}
_SCHEDULE = shape(_SCHEDULE_FIELDS, ("name",))
_SCHEDULE_CHANGE = shape(_SCHEDULE_FIELDS)
_PARTICIPANT = shape({"type": one_of("user", "team", "escalation", "noone"), "id": _ID}, ("type",))
_ROTATION_FIELDS = {
    "name": text(100),
    "startDate": moment,
    "endDate": moment,
    "type": one_of("weekly", "daily", "hourly"),
    "length": whole(1),
    "participants": list_of(_PARTICIPANT, least=1),
    "timeRestriction": TIME_RESTRICTION,
}
_ROTATION = shape(_ROTATION_FIELDS, ("startDate", "type", "participants"))
_ROTATION_CHANGE = shape(_ROTATION_FIELDS)
_STEP = shape(
    {
        "condition": one_of("if-not-acked", "if-not-closed"),
        "notifyType": one_of("default", "next", "previous", "users", "admins", "random", "all"),
        "delay": whole(0, 1440),
        "recipient": shape({"type": one_of("user", "schedule", "team"), "id": _ID}, ("type", "id")),
    },
    ("condition", "notifyType", "delay", "recipient"),
)
_ESCALATION_FIELDS = {
    "name": text(100, empty=False),
    "description": text(10_000),
    "enabled": flag,
    "rules": list_of(_STEP, least=1),
    "repeat": shape(
        {
            "waitInterval": whole(0),
            "count": whole(1, 20),
            "resetRecipientStates": flag,
            "closeAlertAfterAll": flag,
        }
    ),
}
_ESCALATION = shape(_ESCALATION_FIELDS, ("name", "rules"))
_ESCALATION_CHANGE = shape(_ESCALATION_FIELDS)
_TARGET = shape({"type": one_of("escalation", "schedule"), "id": _ID}, ("id",))
_RULE_FIELDS = {
    "name": text(100),
    "order": whole(0),
    "timezone": text(),
    "criteria": ALERT_FILTER,
    "timeRestriction": TIME_RESTRICTION,
    "notify": by_type({"escalation": _TARGET, "schedule": _TARGET, "none": shape({"type": text(), "id": text()})}),
}
_RULE = shape(_RULE_FIELDS, ("notify",))
_RULE_CHANGE = shape(_RULE_FIELDS)


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything about who is told."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        return guarded(oncall, method, pattern, answerer)

    rotations, escalations, rules = (
        "/schedules/{scheduleId}/rotations",
        "/teams/{teamId}/escalations",
        "/teams/{teamId}/routing-rules",
    )
    return (
        route("GET", "/schedules", lambda call: call.page([_schedule(one) for one in call.state.schedules])),
        route("POST", "/schedules", _make_schedule),
        route("GET", "/schedules/{id}", lambda call: Response(200, _schedule(_at(call, "schedules", "Schedule")))),
        route("PATCH", "/schedules/{id}", _change_schedule),
        route("DELETE", "/schedules/{id}", lambda call: _gone(call, "schedules", "Schedule")),
        route("GET", rotations, lambda call: call.page([_rotation(one) for one in _rotations(call)])),
        route("POST", rotations, _make_rotation),
        route("PATCH", f"{rotations}/{{id}}", _change_rotation),
        route("DELETE", f"{rotations}/{{id}}", _drop_rotation),
        route("GET", escalations, lambda call: call.page([_escalation(one) for one in _of_team(call, "escalations")])),
        route("POST", escalations, _make_escalation),
        route("PATCH", f"{escalations}/{{id}}", _change_escalation),
        route("DELETE", f"{escalations}/{{id}}", lambda call: _gone(call, "escalations", "Escalation")),
        route("GET", rules, lambda call: call.page([_rule(one) for one in rules_of(call.state, call.team())])),
        route("POST", rules, _make_rule),
        route("PATCH", f"{rules}/{{id}}", _change_rule),
        route("DELETE", f"{rules}/{{id}}", _drop_rule),
        route("PATCH", f"{rules}/{{id}}/change-order", _move_rule),
    )


def _at(call: Call, table: str, name: str) -> dict[str, Any]:
    return call.found(call.state.table(table), name)


def _gone(call: Call, table: str, name: str) -> Response:
    call.state.table(table).remove(_at(call, table, name)["id"])
    return Response(204)


def _team_id(thing: dict[str, Any]) -> dict[str, str]:
    return {"teamId": thing["ownerTeam"]["id"]} if thing.get("ownerTeam") else {}


# Schedules


def _schedule(one: dict[str, Any]) -> dict[str, Any]:
    fields = {name: one.get(name, "") for name in ("id", "name", "description", "timezone")}
    return {**fields, "enabled": one.get("enabled", True), **_team_id(one)}


def _make_schedule(call: Call) -> Response:
    body = call.body(_SCHEDULE)
    if call.state.schedules.named(body["name"]):
        raise refused(422, f"There is already a schedule with name {body['name']}")
    team = owner_team(call, body.pop("teamId", None))
    plain = {"description": "", "timezone": "UTC", "enabled": True, "rotations": []}
    return Response(201, _schedule(call.state.schedules.add({**plain, **body, **team})))


def _change_schedule(call: Call) -> Response:
    schedule, body = _at(call, "schedules", "Schedule"), call.body(_SCHEDULE_CHANGE)
    schedule.update(owner_team(call, body.pop("teamId", None)))
    schedule.update(body)
    return Response(200, _schedule(schedule))


def _rotations(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call.found(call.state.schedules, "Schedule", "scheduleId").setdefault("rotations", [])
    return found


def _rotation(one: dict[str, Any]) -> dict[str, Any]:
    kinds = {"none": "noone"}
    people = [
        {"type": kinds.get(each["type"], each["type"]), **({"id": each["id"]} if "id" in each else {})}
        for each in one["participants"]
    ]
    # As the original, in an order of its own: restrictions are a set.
    restriction = one.get("timeRestriction")
    if restriction and "restrictions" in restriction:
        restriction = {**restriction, "restrictions": restriction["restrictions"][::-1]}
    return {**one, "participants": people, "timeRestriction": restriction, "endDate": one.get("endDate")}


def _participants(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    for one in body.get("participants") or ():
        if one["type"] == "user" and call.state.users.get(one.get("id", "")) is None:
            raise refused(422, "participants: no such user")
    kinds = {"noone": "none"}
    people = [{**one, "type": kinds.get(one["type"], one["type"])} for one in body.get("participants") or ()]
    return {**body, **({"participants": people} if people else {})}


def _make_rotation(call: Call) -> Response:
    rotations, body = _rotations(call), _participants(call, call.body(_ROTATION))
    made = {"id": call.state.table("jira ids").add({})["id"], "name": "", "length": 1, **body}
    rotations.append(made)
    return Response(201, _rotation(made))


def _change_rotation(call: Call) -> Response:
    rotation = _one_rotation(call)
    rotation.update(_participants(call, call.body(_ROTATION_CHANGE)))
    return Response(200, _rotation(rotation))


def _drop_rotation(call: Call) -> Response:
    _rotations(call).remove(_one_rotation(call))
    return Response(204)


def _one_rotation(call: Call) -> dict[str, Any]:
    for one in _rotations(call):
        if one["id"] == call.request.match["id"]:
            return one
    raise refused(404, "Rotation not found")


# Escalations


def _of_team(call: Call, table: str) -> list[dict[str, Any]]:
    team = call.team()
    return [one for one in call.state.table(table) if (one.get("ownerTeam") or {}).get("id") == team["id"]]


def _escalation(one: dict[str, Any]) -> dict[str, Any]:
    rules = [
        {
            **{name: rule[name] for name in ("condition", "notifyType")},
            "delay": int(rule["delay"]["timeAmount"]),
            "recipient": {name: rule["recipient"][name] for name in ("type", "id")},
        }
        for rule in one["rules"]
    ]
    fields = {name: one.get(name) for name in ("id", "name", "description", "repeat")}
    return {**fields, "enabled": one.get("enabled", True), "rules": rules}


def _steps(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    tables = {"user": "users", "schedule": "schedules", "team": "teams"}
    for rule in body.get("rules") or ():
        recipient = rule["recipient"]
        if call.state.table(tables[recipient["type"]]).get(recipient["id"]) is None:
            raise refused(422, f"rules: no {recipient['type']} {recipient['id']}")
    rules = [
        {**rule, "delay": {"timeAmount": rule["delay"], "timeUnit": "minutes"}} for rule in body.get("rules") or ()
    ]
    return {**body, **({"rules": rules} if rules else {})}


def _make_escalation(call: Call) -> Response:
    team, body = call.team(), _steps(call, call.body(_ESCALATION))
    if any(one["name"] == body["name"] for one in _of_team(call, "escalations")):
        raise refused(422, f"There is already an escalation with name {body['name']}")
    made = call.state.escalations.add({"description": "", "enabled": True, **body, **owner_team(call, team["id"])})
    return Response(201, _escalation(made))


def _change_escalation(call: Call) -> Response:
    escalation = _at(call, "escalations", "Escalation")
    escalation.update(_steps(call, call.body(_ESCALATION_CHANGE)))
    return Response(200, _escalation(escalation))


# Routing rules


def _rule(one: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "name", "isDefault", "order", "criteria", "timezone", "timeRestriction")
    notify = {name: value for name, value in one["notify"].items() if name in ("type", "id")}
    return {**{name: one.get(name) for name in names}, "notify": notify}


def _target(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    notify = body.get("notify")
    if notify and notify["type"] != "none" and call.state.table(f"{notify['type']}s").get(notify["id"]) is None:
        raise refused(422, f"notify: no {notify['type']} {notify['id']}")
    return body


def _numbered(call: Call, team: dict[str, Any]) -> list[dict[str, Any]]:
    rules = rules_of(call.state, team)
    for place, rule in enumerate(rules):
        rule["order"] = place
    return rules


def _make_rule(call: Call) -> Response:
    team, body = call.team(), _target(call, call.body(_RULE))
    rules = [one for one in _numbered(call, team) if not one["isDefault"]]
    place = min(int(body.pop("order", None) or 0), len(rules))
    plain = {"name": "", "criteria": {"type": "match-all"}, "timezone": "UTC", "timeRestriction": None}
    made = call.state.routing_rules.add(
        {**plain, **body, "teamId": team["id"], "isDefault": False, "order": place - 0.5}
    )
    _numbered(call, team)
    return Response(201, _rule(made))


def _change_rule(call: Call) -> Response:
    rule, body = _at(call, "routing rules", "Routing rule"), _target(call, call.body(_RULE_CHANGE))
    body.pop("order", None)
    rule.update(body)
    return Response(200, _rule(rule))


def _drop_rule(call: Call) -> Response:
    if _at(call, "routing rules", "Routing rule")["isDefault"]:
        raise refused(409, "The default routing rule can not be deleted")
    return _gone(call, "routing rules", "Routing rule")


def _move_rule(call: Call) -> Response:
    team, rule = call.team(), _at(call, "routing rules", "Routing rule")
    place = call.body(shape({"order": whole(0)}, ("order",)))["order"]
    if rule["isDefault"]:
        raise refused(422, "The default routing rule stays last")
    others = [one for one in _numbered(call, team) if one is not rule]
    for number, one in enumerate([*others[:place], rule, *others[place:]]):
        one["order"] = number
    return Response(204)
